//! What was measured: the medians in criterion's output, what the script beside it timed of other clients, and the fleet.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

/// Nanoseconds by the name of what took them.
type Times = BTreeMap<String, f64>;

/// Every figure that there is.
#[derive(Debug, Default)]
pub struct Figures {
    /// Medians by criterion's own names, `group/function`.
    pub benches: Times,
    /// By client (`go`, `node`, `python`), then by work.
    pub clients: BTreeMap<String, Times>,
    /// What `scale` found, if it was run.
    pub fleet: Option<Fleet>,
}

/// What `scale` found.
#[derive(Debug, Deserialize)]
pub struct Fleet {
    /// How many sessions there were.
    pub sessions: u64,
    /// Bytes of memory that one takes, where the system tells.
    pub bytes_a_session: Option<f64>,
    /// Nanoseconds a call, by how many calls were made.
    pub ns_by_calls: Vec<(u64, f64)>,
    /// Nanoseconds a call of one thread.
    pub ns_one_thread: f64,
    /// Nanoseconds a call where two threads make them.
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
    /// Reads whatever lies in the build folder.
    ///
    /// # Errors
    /// When a file that is there cannot be read, or is not what it should be. A file that is not there is a figure that
    /// was not measured.
    pub fn read(target: &Path) -> io::Result<Self> {
        let mut figures = Self::default();
        read_benches(&target.join("criterion"), &mut figures.benches)?;
        figures.clients = read_json(&target.join("peers.json"))?.unwrap_or_default();
        figures.fleet = read_json(&target.join("scale.json"))?;
        Ok(figures)
    }

    /// The sum of several benches, if all of them were run.
    pub fn sum(&self, names: &[&str]) -> Option<f64> {
        names.iter().map(|name| self.benches.get(*name)).sum()
    }
}

/// A bench is a folder `new` with its name and its estimates in it.
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
