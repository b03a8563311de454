//! Lets another thread of the runtime wait for the network while this one parses a long reply.

use tokio::runtime::{Handle, RuntimeFlavor};

/// How long a reply must be: a page of 100 KB takes about as long as ten requests for one customer.
const LONG_REPLY: usize = 16 << 10;

/// Wakes another thread of the runtime before a received reply of this length is parsed. A thread that the network woke with one ready
/// task runs the task at once, and wakes no other thread. Then no thread waits for the network until the task ends, and what arrives
/// meanwhile waits as long. With two more tasks, Tokio wakes a thread, which finds nothing else to do and waits for the network.
pub(super) fn wake_for(length: usize) {
    if length > LONG_REPLY && Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread {
        // Tokio keeps the first one for this thread, and wakes another thread only for the second one.
        for _ in 0..2 {
            tokio::spawn(async {});
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, net::TcpListener, sync::mpsc, time::Duration};

    use tokio::{io::AsyncReadExt, net::TcpStream, runtime::Builder};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A task that the network woke keeps its thread until another task has received a byte. Without the call, no thread waits for that byte.
    #[test]
    fn a_thread_waits_for_the_network_while_another_one_parses_a_long_reply() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let connected = || {
            let client = TcpStream::connect(listener.local_addr().expect("its address"));
            async { (client.await.expect("a connection"), listener.accept().expect("the same connection").0) }
        };
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let (began, has_begun) = mpsc::channel();
        for _ in 0..20 {
            let [(mut first, mut begin), (mut other, mut go_on)] =
                runtime.block_on(async { [connected().await, connected().await] });
            let (received, has_received) = mpsc::channel();
            let [of_other, of_reader] = [began.clone(), began.clone()];
            runtime.spawn(async move {
                of_other.send(()).expect("the test waits");
                other.read_u8().await.expect("a byte");
                received.send(()).expect("the other task waits");
            });
            let reads = runtime.spawn(async move {
                of_reader.send(()).expect("the test waits");
                first.read_u8().await.expect("a byte");
                wake_for(LONG_REPLY + 1);
                go_on.write_all(b"b").expect("it is sent");
                has_received.recv_timeout(PATIENCE).expect("another thread waits for the network");
            });
            for _ in 0..2 {
                has_begun.recv_timeout(PATIENCE).expect("both tasks begin");
            }
            // Both threads wait, one of them for the network.
            while (0..2).any(|thread| runtime.metrics().worker_park_unpark_count(thread).is_multiple_of(2)) {
                std::thread::yield_now();
            }
            begin.write_all(b"a").expect("it is sent");
            runtime.block_on(reads).expect("the other task receives its byte meanwhile");
        }
    }
}
