//! Disks that are full or fail, without power loss.

use super::*;

fn machine() -> Machine {
    let random = StdRng::seed_from_u64(1);
    Machine::start(SimDisk::new(), Model::default(), random).unwrap()
}

fn put(machine: &mut Machine, at: usize, size: usize) -> std::result::Result<Done, Error> {
    let planned = Planned {
        at,
        state: Some((at as u8 + 1, size)),
        mode: PutMode::Overwrite,
        durable: true,
    };
    let change = machine.change(&planned)?;
    let (reply, mut done) = oneshot::channel();
    machine.journal.commit(vec![Request {
        change,
        durable: true,
        reply,
        held: Held::default(),
    }]);
    let done = done.try_recv().expect("every change is answered");
    machine.learn(&planned, done.clone());
    Ok(done?)
}

#[test]
fn a_full_disk_refuses_puts_and_keeps_what_is_there() {
    let mut machine = machine();
    put(&mut machine, 0, 1000).unwrap();
    machine.disk.set_trouble(Trouble::Full);
    let mut refused = Vec::new();
    for _ in 0..10 {
        refused.extend(put(&mut machine, 1, 1400).err());
        refused.extend(put(&mut machine, 2, 2500).err());
        machine.check_now().unwrap();
    }
    assert!(refused.len() > 10, "the disk was full");
    for error in refused {
        assert_eq!(
            (error.kind(), error.outcome()),
            (Kind::LimitExceeded, Outcome::NotApplied)
        );
        assert!(error.message().contains("free some space"));
    }
    machine.disk.set_trouble(Trouble::None);
    put(&mut machine, 1, 1400).unwrap();
    put(&mut machine, 2, 2500).unwrap();
    machine.check_now().unwrap();
    restart(machine, Stop::PowerLoss, 0).unwrap();
}

#[test]
fn a_checkpoint_on_a_full_disk_loses_nothing() {
    let mut machine = machine();
    for at in 0..4 {
        put(&mut machine, at, 1400).unwrap();
    }
    machine.journal.rotate().unwrap();
    machine.disk.set_trouble(Trouble::Full);
    let behind = machine.core.backlog.len();
    machine.checkpoint_first();
    assert_eq!(machine.core.backlog.len(), behind);
    machine.check_now().unwrap();
    machine.disk.set_trouble(Trouble::None);
    while machine.core.backlog.len() > 0 {
        machine.checkpoint_first();
    }
    machine.check_now().unwrap();
    assert_eq!(machine.disk_list(layout::STAGED), Vec::<String>::new());
    restart(machine, Stop::PowerLoss, 0).unwrap();
}

#[test]
fn a_failed_append_leaves_no_garbage_in_the_journal() {
    let mut machine = machine();
    put(&mut machine, 0, 1000).unwrap();
    machine.disk.set_trouble(Trouble::WriteFails);
    let error = put(&mut machine, 1, 1000).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (Kind::Unavailable, Outcome::NotApplied)
    );
    machine.check_now().unwrap();
    machine.disk.set_trouble(Trouble::None);
    put(&mut machine, 2, 1000).unwrap();
    let machine = restart(machine, Stop::PowerLoss, 0).unwrap();
    machine.check_now().unwrap();
}

/// The write ends in the middle of the third record: the second is whole, and the put that is
/// tried again ends where it begins.
#[test]
fn the_later_records_of_a_failed_append_do_not_come_back() {
    let mut machine = machine();
    put(&mut machine, 1, 1000).unwrap();
    machine.disk.set_trouble(Trouble::WriteFails);
    let planned = |at, state: State| Planned {
        at,
        state,
        mode: PutMode::Overwrite,
        durable: state.is_some(),
    };
    machine.commit(vec![
        planned(0, Some((1, 500))),
        planned(1, None),
        planned(2, Some((3, 1400))),
    ]);
    machine.check_now().unwrap();
    machine.disk.set_trouble(Trouble::None);
    put(&mut machine, 0, 500).unwrap();
    let after_power_loss = machine.disk.after_power_loss(1);
    machine.journal.settle().unwrap();
    while machine.core.backlog.len() > 0 {
        machine.checkpoint_first();
    }
    machine.check_now().unwrap();
    machine.disk = after_power_loss;
    let machine = restart(machine, Stop::PowerLoss, 0).unwrap();
    machine.check_now().unwrap();
}

#[test]
fn a_segment_that_reads_shorter_than_it_was_written_does_not_leave_the_journal() {
    let mut machine = machine();
    put(&mut machine, 0, 1000).unwrap();
    put(&mut machine, 1, 1000).unwrap();
    machine.journal.rotate().unwrap();
    machine.disk.damage(&layout::log(1), 1500);
    machine.checkpoint_first();
    assert_eq!(machine.core.backlog.len(), 1);
    machine.disk.damage(&layout::log(1), 1500);
    machine.checkpoint_first();
    assert_eq!(machine.core.backlog.len(), 0);
    machine.check_now().unwrap();
}

#[test]
fn after_a_failed_flush_nothing_more_is_promised() {
    let mut machine = machine();
    put(&mut machine, 0, 1000).unwrap();
    machine.disk.set_trouble(Trouble::SyncFails);
    let error = put(&mut machine, 1, 1000).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (Kind::Unavailable, Outcome::Unknown)
    );
    machine.disk.set_trouble(Trouble::None);
    let error = put(&mut machine, 2, 1000).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (Kind::Unavailable, Outcome::NotApplied)
    );
    assert!(error.message().contains("restart the node"));
    let mut machine = restart(machine, Stop::PowerLoss, 0).unwrap();
    put(&mut machine, 2, 1000).unwrap();
    machine.check_now().unwrap();
}

#[test]
fn a_segment_damaged_in_the_middle_of_the_journal_is_not_taken_for_its_end() {
    let mut machine = machine();
    for at in 0..KEYS.len() {
        put(&mut machine, at, 1400).unwrap();
    }
    assert!(
        machine.core.backlog.len() > 0,
        "there is more than one segment"
    );
    let disk = machine.disk.after_power_loss(1);
    disk.damage(&layout::log(1), 2000);
    let refused = recovery::open(config(), Arc::new(disk)).err().unwrap();
    assert_eq!(Error::from(refused).kind(), Kind::Corrupt);
}

impl Machine {
    fn disk_list(&self, dir: &str) -> Vec<String> {
        let items = self.core.disk.list(dir).unwrap();
        items.into_iter().map(|item| item.name).collect()
    }
}
