//! Records of parts, of this format and the last.

use nexus_driver_memory::{MemoryMetastore, MemoryObjectStore};
use nexus_kernel::{Commit, Metastore, Op, Txn};
use nexus_service_api::SystemClock;
use nexus_testkit::authorizer::Open;

use super::*;
use crate::zone::{Stores, Zone, ZoneConfig};

const PAIRS: [(u64, u64); 3] = [(0, 5), (2, 6), (7, 8)];

fn whole() -> PartRecord {
    let pairs = PAIRS.map(|(source, part)| PartPair { source, part });
    PartRecord {
        base: 1,
        origin: 9,
        pairs: pairs.to_vec(),
        depth: 1,
        ..PartRecord::default()
    }
}

/// A fork is the same whether each of its parts has all that there is to know of it, or the first.
#[tokio::test]
async fn parts_are_read_as_they_were_written_once_and_are_now() {
    for further in [whole(), PartRecord::further(5)] {
        let store = Arc::new(MemoryMetastore::new());
        let stores = Stores {
            metastore: store.clone(),
            objects: Arc::new(MemoryObjectStore::new(Arc::new(SystemClock))),
        };
        let zone = Zone::open(stores, Arc::new(Open), ZoneConfig::default());
        let zone = zone.await.unwrap();
        let put = |part, record: &PartRecord| Op::Put(keys::part(part), records::encode(record));
        let made = Txn {
            ops: vec![put(5, &whole()), put(6, &further), put(8, &further)],
            ..Txn::default()
        };
        let Commit::Applied(since) = store.commit(made).await.unwrap() else {
            panic!("nothing is insisted on");
        };
        // A further one first: nothing is in memory then.
        for (source, number) in [PAIRS[2], PAIRS[0], PAIRS[1]] {
            let part = zone.shared.part(number).await.unwrap().unwrap();
            assert_eq!(
                (part.since, part.fork(), &*part.record),
                (since, 5, &whole())
            );
            assert_eq!(part.source_of(in_part(number, 77)), in_part(source, 77));
            for (source, number) in PAIRS {
                assert_eq!(part.shown(in_part(source, 1)), Some(in_part(number, 1)));
                assert!(part.is_with(number));
            }
            assert_eq!(part.shown(in_part(5, 1)), None);
            assert!(!part.is_with(2));
        }
        assert!(zone.shared.part(7).await.unwrap().is_none());
    }
}
