//! An allocator for tests: it counts what is allocated, measures what is in use, and looks through what is freed.
//!
//! A test file takes it by
//!
//! ```ignore
//! #[global_allocator]
//! static MEMORY: Memory = Memory;
//! ```
#![allow(unsafe_code, reason = "there is no safe way to be an allocator; for tests alone, and never published")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, watched.
pub struct Memory;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    // What another thread frees counts below zero.
    static IN_USE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static SEARCH: Search = const { Search { marks: RefCell::new(Vec::new()), is_on: Cell::new(false), found: Cell::new(0) } };
}

static IN_USE_BY_ALL: AtomicUsize = AtomicUsize::new(0);
static PEAK_OF_ALL: AtomicUsize = AtomicUsize::new(0);

/// What is looked for, and how often it was found. The marks are set while nothing is looked through.
struct Search {
    marks: RefCell<Vec<Vec<u8>>>,
    is_on: Cell<bool>,
    found: Cell<usize>,
}

// SAFETY: every call is handed to the system's allocator; a block is read before it is freed, its length being its
// layout's. What nobody wrote is read as whatever it is: fresh blocks come zeroed.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        add(layout.size().cast_signed());
        let in_use = IN_USE_BY_ALL.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK_OF_ALL.fetch_max(in_use, Ordering::Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(-layout.size().cast_signed());
        IN_USE_BY_ALL.fetch_sub(layout.size(), Ordering::Relaxed);
        look_through(unsafe { std::slice::from_raw_parts(pointer, layout.size()) });
        unsafe { System.dealloc(pointer, layout) }
    }

    // Without a `realloc` of its own, growing is allocating, copying and freeing: that is counted and looked through.
}

fn add(bytes: isize) {
    let in_use = IN_USE.get() + bytes;
    IN_USE.set(in_use);
    PEAK.set(PEAK.get().max(in_use));
}

fn look_through(block: &[u8]) {
    // At a thread's end its search may be gone already.
    let _ = SEARCH.try_with(|search| {
        if search.is_on.get() {
            let count = search.marks.borrow().iter().filter(|mark| holds(block, mark)).count();
            search.found.set(search.found.get() + count);
        }
    });
}

/// Whether a mark is somewhere in these bytes.
pub fn holds(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}

/// How often `work` allocates on this thread, and its result.
pub fn allocations_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let result = black_box(work());
    (ALLOCATIONS.get() - before, result)
}

/// How many of the blocks that this thread frees had one of the marks in them, while `work` is done and its result dropped.
pub fn left_behind<T>(marks: &[&[u8]], work: impl FnOnce() -> T) -> usize {
    SEARCH.with(|search| {
        *search.marks.borrow_mut() = marks.iter().map(|mark| mark.to_vec()).collect();
        search.found.set(0);
        search.is_on.set(true);
        drop(work());
        search.is_on.set(false);
        search.found.get()
    })
}

/// The most bytes that this thread had in use at a time.
pub fn peak_of_thread() -> usize {
    PEAK.get().unsigned_abs()
}

/// The most bytes that all threads had in use at a time.
pub fn peak_of_process() -> usize {
    PEAK_OF_ALL.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static MEMORY: Memory = Memory;

    #[test]
    fn what_is_left_is_found_and_what_is_erased_is_not() {
        let mark = b"a mark";
        assert_eq!(left_behind(&[mark], || mark.to_vec()), 1);
        assert_eq!(
            left_behind(&[mark], || {
                let mut copy = mark.to_vec();
                copy.fill(0);
                black_box(copy)
            }),
            0
        );
        // A buffer that grew, and was then erased, left its first block.
        let grown = left_behind(&[mark], || {
            let mut copy = mark.to_vec();
            copy.reserve_exact(4096);
            copy.fill(0);
            black_box(copy)
        });
        assert_eq!(grown, 1);
    }

    #[test]
    fn allocations_and_growth_are_counted() {
        assert_eq!(allocations_of(|| Box::new(5)).0, 1);
        let grow = || {
            let mut grown = black_box(vec![1_u8]);
            grown.resize(1000, 0);
            grown
        };
        assert_eq!(allocations_of(grow).0, 2);
        assert_eq!(allocations_of(|| 5).0, 0);
    }

    #[test]
    fn the_peak_outlasts_what_made_it() {
        // Twice what is asked for: what this thread freed of another's counts against it.
        drop(black_box(vec![1_u8; 2 << 20]));
        assert!(peak_of_thread() >= 1 << 20 && peak_of_process() >= 1 << 20);
        assert!(peak_of_thread() < 1 << 24);
    }
}
