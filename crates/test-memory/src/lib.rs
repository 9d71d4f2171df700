//! An allocator for tests: it counts allocations, measures the memory in use, and searches freed memory.
//!
//! A test file uses it like this:
//!
//! ```ignore
//! #[global_allocator]
//! static MEMORY: Memory = Memory;
//! ```
#![allow(unsafe_code, reason = "an allocator needs unsafe code; this crate is for tests and not published")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, observed.
pub struct Memory;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    // A thread that frees another thread's memory goes below zero.
    static IN_USE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static SEARCH: Search = const { Search { marks: RefCell::new(Vec::new()), is_on: Cell::new(false), found: Cell::new(0) } };
}

static IN_USE_BY_ALL: AtomicUsize = AtomicUsize::new(0);
static PEAK_OF_ALL: AtomicUsize = AtomicUsize::new(0);

/// The marks to search for, and how often they were found. The marks change only while no search runs.
struct Search {
    marks: RefCell<Vec<Vec<u8>>>,
    is_on: Cell<bool>,
    found: Cell<usize>,
}

// SAFETY: every call goes to the system's allocator. A block is read before it is freed, in the length of its layout. All of
// it is initialized, because new blocks are zeroed.
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
        search_block(unsafe { std::slice::from_raw_parts(pointer, layout.size()) });
        unsafe { System.dealloc(pointer, layout) }
    }

    // The default `realloc` allocates, copies and frees, so growth is counted and searched as well.
}

fn add(bytes: isize) {
    let in_use = IN_USE.get() + bytes;
    IN_USE.set(in_use);
    PEAK.set(PEAK.get().max(in_use));
}

fn search_block(block: &[u8]) {
    // At the end of a thread, its search may no longer exist.
    let _ = SEARCH.try_with(|search| {
        if search.is_on.get() {
            let count = search.marks.borrow().iter().filter(|mark| holds(block, mark)).count();
            search.found.set(search.found.get() + count);
        }
    });
}

/// Whether the bytes contain a mark.
pub fn holds(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}

/// The number of `work`'s allocations on this thread, and its result.
pub fn allocations_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let result = black_box(work());
    (ALLOCATIONS.get() - before, result)
}

/// How often a block that this thread frees contains a mark, while `work` runs and its result is dropped.
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

/// The bytes of a value after it was dropped in place. With this allocator only, which zeroes new blocks.
pub fn after_drop<T>(value: T) -> Vec<u8> {
    let mut place = Box::new(MaybeUninit::new(value));
    let len = size_of::<T>();
    // SAFETY: the value is dropped once and not used again. Its bytes are read before their block is freed. Padding is
    // initialized, because the block was zeroed.
    unsafe {
        place.as_mut_ptr().drop_in_place();
        std::slice::from_raw_parts(place.as_ptr().cast::<u8>(), len).to_vec()
    }
}

/// The most bytes that this thread had in use at one time.
pub fn peak_of_thread() -> usize {
    PEAK.get().unsigned_abs()
}

/// The most bytes that all threads had in use at one time.
pub fn peak_of_process() -> usize {
    PEAK_OF_ALL.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static MEMORY: Memory = Memory;

    #[test]
    fn secrets_are_found_unless_erased() {
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
        // A buffer that grew before it was erased left its first block.
        let grown = left_behind(&[mark], || {
            let mut copy = mark.to_vec();
            copy.reserve_exact(4096);
            copy.fill(0);
            black_box(copy)
        });
        assert_eq!(grown, 1);
    }

    #[test]
    fn what_is_not_erased_is_there_after_a_drop() {
        struct Erased([u8; 6]);

        impl Drop for Erased {
            fn drop(&mut self) {
                self.0.fill(0);
            }
        }

        assert!(holds(&after_drop(*b"a mark"), b"a mark"));
        assert!(!holds(&after_drop(Erased(*b"a mark")), b"a mark"));
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
    fn the_peak_stays_after_memory_is_freed() {
        // Twice the expected peak, because memory of other threads that this thread freed is subtracted.
        drop(black_box(vec![1_u8; 2 << 20]));
        assert!(peak_of_thread() >= 1 << 20 && peak_of_process() >= 1 << 20);
        assert!(peak_of_thread() < 1 << 24);
    }
}
