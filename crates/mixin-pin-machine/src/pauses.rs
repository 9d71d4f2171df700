//! Pauses between the attempts of one call.

use std::time::Duration;

use mixin_pin_core::rand_core::Rng;

/// Pauses that double up to a limit, for a number of further attempts.
#[derive(Debug)]
pub(crate) struct Pauses {
    left: u32,
    pause: Duration,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    /// Pauses before at most `retries` further attempts.
    pub(crate) const fn new(retries: u32) -> Self {
        Self { left: retries, pause: Self::FIRST }
    }

    /// The pause before the next attempt: as long as the server asked for, otherwise longer each time. None if there
    /// must be no further attempt, or if the pause would not end within `time_left`.
    pub(crate) fn next(
        &mut self,
        asked_for: Option<Duration>,
        time_left: Duration,
        rng: &mut (impl Rng + ?Sized),
    ) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        // Jitter, between half and all of the pause, keeps many clients from returning at once.
        let jitter = f64::from(rng.next_u32()) / f64::from(u32::MAX) / 2.0;
        let pause = asked_for.unwrap_or_else(|| self.pause.mul_f64(0.5 + jitter));
        self.pause = (self.pause * 2).min(Self::LONGEST);
        (pause < time_left).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use mixin_pin_core::SystemRng;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn pauses_end_by_number_and_by_time() {
        let rng = &mut SystemRng::new().unwrap();
        let mut pauses = Pauses::new(2);
        for _ in 0..2 {
            assert_eq!(pauses.next(Some(Duration::ZERO), MINUTE, rng), Some(Duration::ZERO));
        }
        assert_eq!(pauses.next(Some(Duration::ZERO), MINUTE, rng), None);
        let half = Pauses::FIRST / 2;
        assert_eq!(Pauses::new(5).next(None, half, rng), None, "half of the first pause is not shorter");
        assert_eq!(Pauses::new(5).next(Some(MINUTE), MINUTE, rng), None);
    }

    #[test]
    fn pauses_grow() {
        let rng = &mut SystemRng::new().unwrap();
        let mut pauses = Pauses::new(20);
        let all: Vec<_> = std::iter::from_fn(|| pauses.next(None, MINUTE, rng)).collect();
        let within = |pause: &Duration, longest: Duration| *pause >= longest / 2 && *pause <= longest;
        assert!(within(&all[0], Pauses::FIRST) && within(&all[1], Pauses::FIRST * 2), "{all:?}");
        assert!(within(&all[19], Pauses::LONGEST), "{all:?}");
    }
}
