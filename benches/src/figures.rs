//! Reads the measurements: criterion's medians, the times of other clients, and those of a fleet of sessions.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

/// Nanoseconds by name.
type Times = BTreeMap<String, f64>;

/// All figures.
#[derive(Debug, Default)]
pub struct Figures {
    /// Medians by criterion's names, `group/function`.
    pub benches: Times,
    /// By client (`node`, `python`), then by work.
    pub clients: BTreeMap<String, Times>,
    /// The figures of `scale`, if it was run.
    pub fleet: Option<Fleet>,
    /// The figures of `clients`, if it was run.
    pub idle: Option<Idle>,
}

/// The figures of `clients`: what idle clients cost.
#[derive(Debug, Deserialize)]
pub struct Idle {
    /// Number of clients.
    pub clients: u64,
    /// Of the blocking client.
    pub blocking: ClientCosts,
    /// Of the async client.
    #[serde(rename = "async")]
    pub asynchronous: ClientCosts,
}

/// What the clients of one kind cost.
#[derive(Debug, Deserialize)]
pub struct ClientCosts {
    /// Bytes of memory for each, its session included.
    pub bytes_a_client: f64,
    /// Open files of all together.
    pub files: u64,
    /// Nanoseconds of a client's first call, on average.
    pub ns_first_call: f64,
}

/// The figures of `scale`.
#[derive(Debug, Deserialize)]
pub struct Fleet {
    /// Number of sessions.
    pub sessions: u64,
    /// Bytes of memory that a session takes, where the system tells.
    pub bytes_a_session: Option<f64>,
    /// Number of calls, and nanoseconds for each.
    pub ns_by_calls: Vec<(u64, f64)>,
    /// Nanoseconds a call with one thread.
    pub ns_one_thread: f64,
    /// Nanoseconds a call with two threads.
    pub ns_two_threads: f64,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
}

impl Figures {
    /// Reads the build folder. A missing file is a figure that was not measured.
    ///
    /// # Errors
    /// When a file cannot be read or parsed.
    pub fn read(target: &Path) -> io::Result<Self> {
        let mut figures = Self::default();
        read_benches(&target.join("criterion"), &mut figures.benches)?;
        figures.clients = read_json(&target.join("peers.json"))?.unwrap_or_default();
        figures.fleet = read_json(&target.join("scale.json"))?;
        figures.idle = read_json(&target.join("clients.json"))?;
        Ok(figures)
    }

    /// The sum of several benches, if all were run.
    pub fn sum(&self, names: &[&str]) -> Option<f64> {
        names.iter().map(|name| self.benches.get(*name)).sum()
    }
}

/// Each bench has a folder `new` with its name and its estimates.
fn read_benches(folder: &Path, found: &mut Times) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == "new") {
            let benchmark: Option<Benchmark> = read_json(&path.join("benchmark.json"))?;
            let estimates: Option<Estimates> = read_json(&path.join("estimates.json"))?;
            if let (Some(benchmark), Some(estimates)) = (benchmark, estimates) {
                found.insert(benchmark.full_id, estimates.median.point_estimate);
            }
        } else if path.is_dir() {
            read_benches(&path, found)?;
        }
    }
    Ok(())
}

fn read_json<T: for<'d> Deserialize<'d>>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_needs_all_of_its_parts() {
        let mut figures = Figures::default();
        figures.benches.insert("a".to_owned(), 1.0);
        figures.benches.insert("b".to_owned(), 2.5);
        assert_eq!(figures.sum(&["a", "b"]), Some(3.5));
        assert_eq!(figures.sum(&["a", "c"]), None);
    }
}
