//! A client that goes away changes nothing: no effect without its record (I2, I3).

use std::sync::Arc;

use libtest_mimic::Trial;
use passerelle::store::State;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Semaphore};

use crate::{
    bed::{Dice, Gateway, Setup, Twin, agree, count, sized},
    client::person,
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("clients_that_go_away_leave_no_effect_without_its_record", departures)]
}

async fn departures() {
    let creates = sized(300, 10_000);
    let twin = Twin::start("lomi", "delay = \"1ms..200ms\"\nonly = [\"create\"]");
    let gateway = Gateway::before(&twin, &Setup::of(""));
    let mut dice = Dice::new(3);
    let at_once = Arc::new(Semaphore::new(64));
    let mut gone = Vec::new();
    for number in 0..creates {
        let stays = dice.milliseconds(0, 300);
        let place = Arc::clone(&at_once).acquire_owned().await.expect("open");
        let address = gateway.address();
        gone.push(tokio::spawn(async move {
            let body = person(number).to_string();
            let request = format!(
                "POST /v1/customers HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk_acme\r\n\
                 content-type: application/json\r\nidempotency-key: key-{number}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(request.as_bytes()).await.expect("sent");
            tokio::time::sleep(stays).await;
            drop((stream, place));
        }));
    }
    for gone in gone {
        gone.await.expect("no panic");
    }
    // Nobody waits any more, and yet what was begun is finished before the process ends.
    gateway.stop();
    let kept = gateway.kept().await;
    agree(&twin, &kept);
    let effects: usize = twin.created().values().map(Vec::len).sum();
    assert_eq!(count(&kept, State::Done), effects, "every effect has its record");
    assert!(effects >= creates / 2, "{effects} of {creates} were begun: too few to tell anything");
    eprintln!("departures: {creates} creates, {effects} begun and done, {effects} recorded");
}
