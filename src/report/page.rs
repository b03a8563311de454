//! The report of a switch: one HTML page without a script and without a request to anything. It has counts, fields, ids
//! and reasons, and no value of a customer that is not masked unless the operator asks for it.

use std::fmt::Write;

use super::{
    Examples, Samples,
    chart::{self, Part, Tone},
    html::{Escaped, grouped},
    samples,
};
use crate::switch::view::{ForecastEntry, Outcome, RecordCounts, SwitchState, SwitchView, Verified};

const STYLE: &str = "\
:root{--text:#1f1e1b;--quiet:#6b6760;--line:#d9d4c8;--page:#fffefb;--empty:#eeeae0;--warn:#fff3e0}\
*{box-sizing:border-box}body{margin:0 auto;max-width:62rem;padding:1.5rem 1rem 3rem;background:var(--page);\
color:var(--text);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}\
h1{font-size:1.6rem;line-height:1.25;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .5rem}p{margin:.4rem 0}\
.quiet{color:var(--quiet)}.state{display:inline-block;padding:.05rem .6rem;border:1px solid currentColor;border-radius:1rem;font-size:.9rem}\
.note{background:var(--warn);border-left:4px solid #a1260d;padding:.6rem .9rem;margin:1rem 0}\
code{font:.9em ui-monospace,monospace;background:var(--empty);padding:.1rem .3rem;border-radius:3px}\
table{width:100%;border-collapse:collapse;font-size:.95rem}th,td{text-align:left;padding:.4rem .6rem .4rem 0;border-top:1px solid var(--line);vertical-align:top}\
th{font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td.wide{width:45%}\
@media(max-width:40rem){thead{position:absolute;left:-999rem}tr{display:block;padding:.6rem 0;border-top:1px solid var(--line)}\
td,td.n,td.wide{display:block;width:auto;border:0;padding:.1rem 0;text-align:left}td[data-label]::before{content:attr(data-label) \": \";color:var(--quiet)}}\
@media(prefers-color-scheme:dark){@media screen{:root{--text:#e8e4da;--quiet:#a09b90;--line:#3d3a34;--page:#191816;--empty:#2b2925;--warn:#3a2a1c}}}\
@media print{body{max-width:none;padding:0;font-size:11pt}h2{break-after:avoid}tr,.note,svg{break-inside:avoid}}";

/// The report of a switch, as it is at this time.
pub fn page(switch: &SwitchView, examples: &Examples, samples: &Samples, now: &str) -> String {
    let mut html = String::with_capacity(16 << 10);
    let title = format!("Switch of {}: {} to {}", switch.merchant, switch.from, switch.to);
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{0}</title><style>{STYLE}{1}</style></head><body>\
         <h1>{0}</h1><p class=\"quiet\"><span class=\"state\">{2}</span> · {3} · as of {4}</p>",
        Escaped(&title),
        chart::STYLE,
        switch.state.as_str(),
        Escaped(&switch.id),
        Escaped(now),
    );
    summary(&mut html, switch);
    records(&mut html, switch);
    open(&mut html, examples);
    forecast(&mut html, "What becomes of each field at the target", &switch.to, &switch.forecast);
    samples::write(&mut html, samples);
    verification(&mut html, switch.verified.as_ref());
    way_back(&mut html, switch);
    html.push_str("</body></html>\n");
    html
}

fn summary(html: &mut String, switch: &SwitchView) {
    let active = if switch.state == SwitchState::Switched { &switch.to } else { &switch.from };
    if switch.state.is_open() {
        let _ = write!(html, "<p>New customers are created at <code>{}</code>.</p>", Escaped(active));
    }
    for notice in &switch.notices {
        let _ = write!(
            html,
            "<div class=\"note\"><strong>{}.</strong> {}</div>",
            Escaped(&notice.code),
            Escaped(&notice.detail)
        );
    }
    if let Some(blocked) = &switch.blocked_by {
        let _ = write!(
            html,
            "<div class=\"note\"><strong>It waits: {}.</strong> {} <span class=\"quiet\">Since {}.</span></div>",
            blocked.code.as_str(),
            Escaped(&blocked.detail),
            Escaped(&blocked.since)
        );
    }
    if let Some(next) = &switch.next {
        let _ = write!(html, "<p>The next command: <code>{}</code></p>", Escaped(next));
    }
}

/// The customers of a switch by what became of them: a bar, and its key.
pub fn records_chart(counts: &RecordCounts) -> String {
    let part = |outcome: Outcome, label, tone| Part { label, value: counts.of(outcome), tone };
    let parts = [
        part(Outcome::Created, "created", Tone::Good),
        part(Outcome::Linked, "linked with a record that was there", Tone::Changed),
        part(Outcome::AlreadyLinked, "linked before", Tone::Changed),
        part(Outcome::Pending, "not copied yet", Tone::Open),
        part(Outcome::Left, "left where they are", Tone::Quiet),
        part(Outcome::Deleted, "deleted", Tone::Quiet),
        part(Outcome::Gone, "gone at the provider", Tone::Bad),
        part(Outcome::InDoubt, "in doubt", Tone::Bad),
        part(Outcome::NeedsDecision, "need a decision", Tone::Bad),
        part(Outcome::Refused, "refused", Tone::Bad),
    ];
    chart::bar(&parts, counts.total) + &chart::key(&parts)
}

fn records(html: &mut String, switch: &SwitchView) {
    let counts = &switch.records;
    let _ = write!(html, "<h2>{} customers</h2>{}", grouped(counts.total), records_chart(counts));
    if switch.marks.pending > 0 {
        let _ = write!(
            html,
            "<p>{} have changed since they were copied; the changes are being copied.</p>",
            grouped(switch.marks.pending)
        );
    }
    for (connection, pinned) in switch.pinned.iter().filter(|(_, pinned)| **pinned > 0) {
        let _ = write!(html, "<p>{} stay at <code>{}</code> for now.</p>", grouped(*pinned), Escaped(connection));
    }
}

fn open(html: &mut String, examples: &Examples) {
    let reasons = examples.reasons();
    if reasons.is_empty() {
        return;
    }
    html.push_str(
        "<h2>Records that need a person</h2><table><thead><tr><th>Reason</th><th class=\"n\">Records</th>\
         <th>What it means</th><th>For example</th></tr></thead><tbody>",
    );
    for ((outcome, code), examined) in reasons {
        let ids: Vec<String> = examined.ids.iter().map(|id| format!("<code>{}</code>", Escaped(id))).collect();
        let _ = write!(
            html,
            "<tr><td data-label=\"Reason\"><code>{}</code><br><span class=\"quiet\">{}</span></td>\
             <td class=\"n\" data-label=\"Records\">{}</td><td data-label=\"What it means\">{}</td>\
             <td data-label=\"For example\">{}</td></tr>",
            Escaped(code),
            outcome.as_str().replace('_', " "),
            grouped(examined.count),
            Escaped(&examined.detail),
            ids.join(" ")
        );
    }
    html.push_str("</tbody></table>");
    if examples.has_more {
        let _ = write!(
            html,
            "<p class=\"quiet\">Only the first {} records are counted here; <code>errors.csv</code> has all.</p>",
            grouped(u64::try_from(examples.counted()).unwrap_or(u64::MAX))
        );
    }
}

fn forecast(html: &mut String, title: &str, connection: &str, entries: &[ForecastEntry]) {
    if entries.is_empty() {
        return;
    }
    let _ = write!(
        html,
        "<h2>{} (<code>{}</code>)</h2><table><thead><tr><th>Field</th><th>Outcome</th><th class=\"n\">Customers</th>\
         <th>Rule</th></tr></thead><tbody>",
        Escaped(title),
        Escaped(connection)
    );
    for entry in entries {
        let part = |value, label, tone| Part { label, value, tone };
        let parts = [
            part(entry.kept, "kept", Tone::Good),
            part(entry.transformed, "transformed", Tone::Changed),
            part(entry.derived, "derived", Tone::Changed),
            part(entry.carried, "carried by the gateway", Tone::Carried),
            part(entry.lost, "lost", Tone::Bad),
        ];
        let _ = write!(
            html,
            "<tr><td data-label=\"Field\"><code>{}</code></td><td class=\"wide\">{}{}</td>\
             <td class=\"n\" data-label=\"Customers\">{}</td><td data-label=\"Rule\">{}</td></tr>",
            Escaped(&entry.field),
            chart::bar(&parts, entry.held),
            chart::key(&parts),
            grouped(entry.held),
            Escaped(entry.rule.as_deref().unwrap_or("–")),
        );
    }
    html.push_str("</tbody></table>");
}

fn verification(html: &mut String, verified: Option<&Verified>) {
    html.push_str("<h2>Verification</h2>");
    let Some(verified) = verified else {
        html.push_str("<p>Nothing was verified yet.</p>");
        return;
    };
    let part = |value, label, tone| Part { label, value, tone };
    let parts = [
        part(verified.equal, "equal", Tone::Good),
        part(verified.equal_after_rule, "equal after a rule", Tone::Changed),
        part(verified.busy, "changed while they were compared", Tone::Open),
        part(verified.differs, "different", Tone::Bad),
        part(verified.missing, "missing", Tone::Bad),
        part(verified.extra.unwrap_or(0), "only at the other side", Tone::Quiet),
        part(verified.unreadable, "not readable", Tone::Bad),
    ];
    let until = verified.at.as_deref().unwrap_or("–");
    let ended = if verified.complete { "It has ended" } else { "It has not ended" };
    let _ = write!(
        html,
        "{}{}<p>{} records were compared. {ended} <span class=\"quiet\">({})</span>.</p>",
        chart::bar(&parts, verified.checked),
        chart::key(&parts),
        grouped(verified.checked),
        Escaped(until)
    );
    if verified.extra.is_none() {
        html.push_str("<p class=\"quiet\">The target lists only some of its customers, so records that only it has are not counted.</p>");
    }
}

fn way_back(html: &mut String, switch: &SwitchView) {
    let way_back = &switch.way_back;
    let reason = way_back.reason.as_deref().unwrap_or("no reason is known");
    match way_back.open {
        true => html.push_str("<h2>The way back</h2><p>Open: the source has accepted a write lately.</p>"),
        false => {
            let _ = write!(html, "<h2>The way back</h2><p>Closed: {}.</p>", Escaped(reason));
        }
    }
    forecast(html, "What becomes of each field on the way back", &switch.from, &way_back.forecast);
}
