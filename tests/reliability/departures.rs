//! Clients that disconnect before the answer: every effect still has its record (I2, I3).

use std::sync::Arc;

use libtest_mimic::Trial;
use passerelle::store::State;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Semaphore};

use crate::{
    bed::{Gateway, Random, Setup, Twin, assert_agree, count, sized},
    client::person,
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("clients_that_disconnect_leave_no_effect_without_its_record", departures)]
}

async fn departures() {
    let creates = sized(300, 10_000);
    let twin = Twin::start("lomi", "delay = \"1ms..200ms\"\nonly = [\"create\"]");
    let gateway = Gateway::start_for(&twin, &Setup::of(""));
    let mut random = Random::new(3);
    let limit = Arc::new(Semaphore::new(64));
    let mut clients = Vec::new();
    for number in 0..creates {
        let wait = random.milliseconds(0, 300);
        let permit = Arc::clone(&limit).acquire_owned().await.expect("open");
        let address = gateway.address();
        clients.push(tokio::spawn(async move {
            let body = person(number).to_string();
            let request = format!(
                "POST /v1/customers HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk_acme\r\n\
                 content-type: application/json\r\nidempotency-key: key-{number}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(request.as_bytes()).await.expect("sent");
            tokio::time::sleep(wait).await;
            drop((stream, permit));
        }));
    }
    for client in clients {
        client.await.expect("no panic");
    }
    // All clients have disconnected. The gateway finishes all writes in flight before its process ends.
    gateway.stop();
    let records = gateway.records().await;
    assert_agree(&twin, &records);
    let effects: usize = twin.created().values().map(Vec::len).sum();
    assert_eq!(count(&records, State::Done), effects, "every effect has its record");
    assert!(effects >= creates / 2, "only {effects} of {creates} were executed: too few to test anything");
    eprintln!("departures: {creates} creates, {effects} executed and recorded");
}
