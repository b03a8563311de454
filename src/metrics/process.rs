//! What the system says of this process: memory, processor time and files. The names are those of Prometheus' own client
//! libraries, so that dashboards for any process show the gateway too.

use super::Metrics;

impl Metrics {
    /// Reads what the system says of this process at the moment. What it does not say is not shown.
    #[cfg(target_os = "linux")]
    pub fn sample_process(&self) {
        let Ok(process) = procfs::process::Process::myself() else { return };
        if let Ok(stat) = process.stat() {
            let ticks = procfs::ticks_per_second();
            self.process_cpu_seconds().inner().store(
                (number(stat.utime + stat.stime) / number(ticks)).to_bits(),
                std::sync::atomic::Ordering::Relaxed,
            );
            self.process_resident_bytes().set(number(stat.rss * procfs::page_size()));
            if let Ok(booted) = procfs::boot_time_secs() {
                self.process_started_at().set(number(booted) + number(stat.starttime) / number(ticks));
            }
        }
        if let Ok(count) = process.fd_count() {
            self.process_open_files().set(number(count as u64));
        }
        if let Ok(limits) = process.limits()
            && let procfs::process::LimitValue::Value(limit) = limits.max_open_files.soft_limit
        {
            self.process_most_files().set(number(limit));
        }
    }

    /// Elsewhere, these metrics are not shown.
    #[cfg(not(target_os = "linux"))]
    pub fn sample_process(&self) {}
}

/// The numbers of a process are far below 2^53.
#[cfg(target_os = "linux")]
#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
fn number(value: u64) -> f64 {
    value as f64
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_memory_time_and_files_of_this_process() {
        let (metrics, file) = (Metrics::default(), std::fs::File::open("/proc/self/stat").expect("a file"));
        metrics.sample_process();
        let open = metrics.process_open_files().get();
        assert!((3.0..100_000.0).contains(&open) && open < metrics.process_most_files().get(), "{open} files");
        drop(file);
        let resident = metrics.process_resident_bytes().get();
        assert!((1e6..1e11).contains(&resident), "{resident} bytes");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a later time");
        let age = now.as_secs_f64() - metrics.process_started_at().get();
        assert!((-2.0..86_400.0).contains(&age), "it began {age} seconds ago");
        assert!(metrics.text().contains("process_cpu_seconds_total "), "it is a counter");
    }
}
