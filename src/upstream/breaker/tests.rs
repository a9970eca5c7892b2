//! The circuit against a naive model, and what it does with concurrent calls.

use super::*;
use proptest::prelude::*;

const RECOVERY: Duration = Duration::from_secs(30);

fn circuit(failures: u32) -> Circuit {
    let thresholds = Thresholds {
        failures,
        recovery: RECOVERY,
    };
    Circuit::new(thresholds, at(0))
}

fn at(secs: u64) -> Moment {
    Moment::from_millis(secs * 1000)
}

/// One call that ends like this, at once.
fn call(circuit: &mut Circuit, ending: Ending, secs: u64) {
    let admission = circuit.admit(at(secs)).unwrap();
    circuit.end(admission, ending, at(secs));
}

fn state(circuit: &Circuit, secs: u64) -> CircuitState {
    circuit.status(at(secs)).state
}

#[test]
fn failures_in_a_row_open_it_and_an_answer_in_between_does_not_let_them_be_one() {
    let mut circuit = circuit(5);
    for _ in 0..3 {
        for _ in 0..2 {
            call(&mut circuit, Ending::Failed(None), 0);
        }
        for _ in 0..4 {
            call(&mut circuit, Ending::Worked, 0);
        }
    }
    assert_eq!(state(&circuit, 0), CircuitState::Closed);
    for _ in 0..5 {
        assert_eq!(state(&circuit, 0), CircuitState::Closed);
        call(&mut circuit, Ending::Failed(None), 0);
    }
    assert_eq!(state(&circuit, 0), CircuitState::Open);
    assert_eq!(circuit.admit(at(29)), Err(Duration::from_secs(1)));
    assert!(circuit.admit(at(30)).is_ok());
}

#[test]
fn half_of_the_last_calls_open_it_once_there_are_ten() {
    for bad in [Ending::Failed(None), Ending::Slow] {
        let mut circuit = circuit(1000);
        for nth in 1..=10 {
            assert_eq!(state(&circuit, 0), CircuitState::Closed, "{nth}");
            call(
                &mut circuit,
                if nth % 2 == 0 { bad } else { Ending::Worked },
                0,
            );
        }
        assert_eq!(state(&circuit, 0), CircuitState::Open);
    }
    // Of the calls before the last twenty nothing is left.
    let mut circuit = circuit(1000);
    for (ending, times) in [
        (Ending::Worked, 11),
        (Ending::Slow, 9),
        (Ending::Worked, 11),
        (Ending::Slow, 1),
    ] {
        for _ in 0..times {
            call(&mut circuit, ending, 0);
        }
    }
    assert_eq!(state(&circuit, 0), CircuitState::Closed);
}

#[test]
fn a_pause_that_is_asked_for_is_kept_up_to_five_minutes_and_never_shortens_ours() {
    for (asked, open_for) in [
        (None, 30),
        (Some(3), 30),
        (Some(100), 100),
        (Some(9999), 300),
    ] {
        let mut circuit = circuit(1);
        let asked = asked.map(Duration::from_secs);
        call(&mut circuit, Ending::Failed(asked), 0);
        let left = Duration::from_secs(open_for);
        assert_eq!(circuit.check(at(0)), Err(left));
        assert_eq!(circuit.status(at(0)).remaining, Some(left));
        assert!(circuit.check(at(open_for)).is_ok());
    }
}

#[test]
fn half_open_lets_one_call_try_at_a_time_and_two_close_it() {
    let mut circuit = circuit(1);
    call(&mut circuit, Ending::Failed(None), 0);
    let first = circuit.admit(at(30)).unwrap();
    assert_eq!(state(&circuit, 30), CircuitState::HalfOpen);
    assert_eq!(circuit.admit(at(30)), Err(WHILE_PROBING));
    // Given up without a word: the next one may try.
    circuit.end(first, Ending::Unknown, at(31));
    let second = circuit.admit(at(31)).unwrap();
    circuit.end(second, Ending::Worked, at(31));
    assert_eq!(state(&circuit, 31), CircuitState::HalfOpen);
    let third = circuit.admit(at(31)).unwrap();
    assert_eq!(circuit.admit(at(31)), Err(WHILE_PROBING));
    circuit.end(third, Ending::Slow, at(32));
    assert_eq!(state(&circuit, 32), CircuitState::Closed);
    assert_eq!(circuit.status(at(32)).failures, 0);
}

#[test]
fn a_probe_that_fails_opens_it_again_and_so_does_one_that_comes_too_early() {
    for ending in [
        Ending::Failed(None),
        Ending::Limited(Some(Duration::from_secs(60))),
    ] {
        let mut circuit = circuit(1);
        call(&mut circuit, Ending::Failed(None), 0);
        call(&mut circuit, Ending::Worked, 30);
        call(&mut circuit, ending, 30);
        assert_eq!(state(&circuit, 30), CircuitState::Open);
        assert_eq!(circuit.status(at(30)).opened, 2);
    }
}

#[test]
fn what_began_before_the_circuit_opened_says_nothing_any_more() {
    let mut circuit = circuit(1);
    let (slow, slower) = (circuit.admit(at(0)).unwrap(), circuit.admit(at(0)).unwrap());
    call(&mut circuit, Ending::Failed(None), 0);
    circuit.end(slow, Ending::Worked, at(1));
    assert_eq!(state(&circuit, 1), CircuitState::Open);
    let probe = circuit.admit(at(30)).unwrap();
    circuit.end(slower, Ending::Failed(None), at(30));
    assert_eq!(state(&circuit, 30), CircuitState::HalfOpen);
    circuit.end(probe, Ending::Worked, at(30));
    assert!(circuit.admit(at(30)).is_ok());
}

#[test]
fn an_operator_holds_it_and_lets_it_go() {
    let mut circuit = circuit(1);
    circuit.force(Some(Forced::Open), at(1));
    assert_eq!(circuit.admit(at(9999)), Err(RECOVERY));
    let status = circuit.status(at(9999));
    assert_eq!((status.state, status.forced), (CircuitState::Open, true));
    assert_eq!((status.opened, status.remaining), (1, None));
    circuit.force(Some(Forced::Closed), at(2));
    for _ in 0..50 {
        call(&mut circuit, Ending::Failed(None), 2);
    }
    assert_eq!(state(&circuit, 2), CircuitState::Closed);
    circuit.force(None, at(3));
    let status = circuit.status(at(3));
    assert_eq!((status.state, status.forced), (CircuitState::Closed, false));
    assert_eq!((status.failures, status.since), (0, at(3)));
    call(&mut circuit, Ending::Failed(None), 3);
    assert_eq!(state(&circuit, 3), CircuitState::Open);
}

/// The same circuit as a history: what is so is worked out anew from all that was.
#[derive(Debug)]
struct Model {
    failures: usize,
    /// Ends since the circuit was last closed.
    ends: Vec<Ending>,
    open_until: Option<Moment>,
    /// Probes that worked, and whether one is under way; `None` unless half-open.
    probes: Option<(usize, bool)>,
}

impl Model {
    fn may(&self, now: Moment) -> bool {
        match (self.open_until, self.probes) {
            (_, Some((_, under_way))) => !under_way,
            (Some(until), None) => now >= until,
            (None, None) => true,
        }
    }

    fn begin(&mut self) {
        if self.open_until.is_some() {
            let worked = self.probes.map_or(0, |(worked, _)| worked);
            self.probes = Some((worked, true));
        }
    }

    fn end(&mut self, ending: Ending, now: Moment) {
        let asked = match ending {
            Ending::Failed(asked) | Ending::Limited(asked) => asked.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let pause = asked.clamp(RECOVERY, Duration::from_secs(300));
        if let Some((worked, _)) = self.probes {
            match ending {
                Ending::Failed(_) | Ending::Limited(_) => {
                    (self.open_until, self.probes) = (Some(now + pause), None);
                }
                Ending::Unknown => self.probes = Some((worked, false)),
                Ending::Worked | Ending::Slow if worked + 1 < 2 => {
                    self.probes = Some((worked + 1, false));
                }
                Ending::Worked | Ending::Slow => {
                    (self.open_until, self.probes) = (None, None);
                    self.ends.clear();
                }
            }
            return;
        }
        if matches!(ending, Ending::Unknown | Ending::Limited(_)) {
            return;
        }
        self.ends.push(ending);
        let failed = |ending: &&Ending| matches!(ending, Ending::Failed(_));
        let in_a_row = self.ends.iter().rev().take_while(failed).count();
        let last: Vec<_> = self.ends.iter().rev().take(20).collect();
        let bad = last.iter().filter(|end| ***end != Ending::Worked).count();
        if in_a_row >= self.failures || (last.len() >= 10 && bad * 2 >= last.len()) {
            self.open_until = Some(now + if failed(&&ending) { pause } else { RECOVERY });
        }
    }
}

fn endings() -> impl Strategy<Value = Ending> {
    let asked = prop::option::of(0..400u64).prop_map(|asked| asked.map(Duration::from_secs));
    prop_oneof![
        4 => Just(Ending::Worked),
        2 => Just(Ending::Slow),
        5 => asked.clone().prop_map(Ending::Failed),
        1 => asked.prop_map(Ending::Limited),
        1 => Just(Ending::Unknown),
    ]
}

proptest! {
    /// Calls one after another, with pauses in between.
    #[test]
    fn it_does_what_the_model_does(
        failures in 1..8u32,
        calls in prop::collection::vec((0..40u64, endings(), prop::bool::ANY), 1..200),
    ) {
        let mut circuit = circuit(failures);
        let mut model = Model {
            failures: failures as usize,
            ends: Vec::new(),
            open_until: None,
            probes: None,
        };
        let mut now = at(0);
        for (pause, ending, looks_twice) in calls {
            // Mostly none, so that histories get long.
            now = now + Duration::from_secs(if pause > 30 { pause } else { 0 });
            prop_assert_eq!(circuit.check(now).is_ok(), model.may(now));
            let Ok(admission) = circuit.admit(now) else { continue };
            model.begin();
            if looks_twice {
                prop_assert_eq!(circuit.check(now).is_ok(), model.may(now));
            }
            circuit.end(admission, ending, now);
            model.end(ending, now);
            let expected = match (model.open_until, model.probes) {
                (_, Some(_)) => CircuitState::HalfOpen,
                (Some(_), None) => CircuitState::Open,
                (None, None) => CircuitState::Closed,
            };
            prop_assert_eq!(circuit.status(now).state, expected);
        }
    }

    /// However calls overlap, a half-open circuit never has two of them under way, and one that was given
    /// up is never missed for ever.
    #[test]
    fn no_two_probes_are_under_way(
        steps in prop::collection::vec((0..4u8, 0..40u64, endings(), any::<prop::sample::Index>()), 1..300),
    ) {
        let mut circuit = circuit(2);
        let (mut now, mut under_way) = (at(0), Vec::new());
        for (step, pause, ending, which) in steps {
            now = now + Duration::from_secs(if step == 0 { pause } else { 0 });
            if step < 2 || under_way.is_empty() {
                let admitted = circuit.admit(now);
                under_way.extend(admitted);
            } else {
                let admission = under_way.swap_remove(which.index(under_way.len()));
                circuit.end(admission, ending, now);
            }
            let current = under_way.iter().filter(|admission| admission.era == circuit.era);
            if circuit.status(now).state == CircuitState::HalfOpen {
                let probes = current.count();
                prop_assert!(probes <= 1);
                prop_assert_eq!(circuit.check(now).is_ok(), probes == 0);
            }
        }
    }
}
