//! The series of the store.

use std::time::{Duration, Instant};

use super::{Counter, Gauge, Histogram, Metrics, number};

/// What work does with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It only reads.
    Read,
    /// It writes.
    Write,
}

/// The series of the store of a process.
#[derive(Debug)]
pub struct StoreSeries {
    reads: OfAccess,
    writes: OfAccess,
    group_seconds: Histogram,
    group_jobs: Histogram,
}

#[derive(Debug)]
struct OfAccess {
    jobs: Gauge,
    seconds: Histogram,
    failed: Counter,
}

impl OfAccess {
    fn new(metrics: &Metrics, access: &str) -> Self {
        Self {
            jobs: metrics.store_jobs(access),
            seconds: metrics.store_job_seconds(access),
            failed: metrics.store_jobs_failed(access),
        }
    }
}

impl StoreSeries {
    /// The series of the store.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            reads: OfAccess::new(metrics, "read"),
            writes: OfAccess::new(metrics, "write"),
            group_seconds: metrics.store_group_seconds(),
            group_jobs: metrics.store_group_jobs(),
        }
    }

    /// Records work that begins now, until the result is dropped.
    pub fn begin(&self, access: Access) -> JobTime<'_> {
        let series = match access {
            Access::Read => &self.reads,
            Access::Write => &self.writes,
        };
        series.jobs.inc();
        JobTime { series, began: Instant::now() }
    }

    /// Records a transaction that committed this many writes.
    pub fn record_group(&self, jobs: usize, time: Duration) {
        self.group_seconds.observe(time.as_secs_f64());
        self.group_jobs.observe(number(jobs));
    }
}

/// Work that has not ended.
#[derive(Debug)]
pub struct JobTime<'s> {
    series: &'s OfAccess,
    began: Instant,
}

impl JobTime<'_> {
    /// The work has failed.
    pub fn count_failure(&self) {
        self.series.failed.inc();
    }
}

impl Drop for JobTime<'_> {
    fn drop(&mut self) {
        self.series.jobs.dec();
        self.series.seconds.observe(self.began.elapsed().as_secs_f64());
    }
}
