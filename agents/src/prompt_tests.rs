use edvac_memory::context::{Fragment, FragmentKind as Kind};
use proptest::prelude::*;

use super::*;
use crate::testing::Words;

fn fitted(parts: &[(Kind, String)]) -> Fitted {
    let fragments =
        parts.iter().map(|(kind, text)| Fragment::new(*kind, "", "", text.clone(), &Words)).collect();
    Fitted { fragments, ..Fitted::default() }
}

#[test]
fn fragments_become_messages() {
    let text = |kind, text: &str| (kind, text.to_owned());
    let prompt = fitted(&[
        text(Kind::System, "s"),
        text(Kind::Domain, "d"),
        text(Kind::Step, "step\n"),
        text(Kind::Task, "task"),
        text(Kind::Turn, "reply\n"),
        text(Kind::Turn, "answer"),
    ]);
    let said: Vec<_> = messages(&prompt).into_iter().map(|m| (m.speaker, m.text)).collect();
    let expected = [
        (Speaker::System, "s\n\nd"),
        (Speaker::User, "task\n\nstep"),
        (Speaker::Assistant, "reply\n"),
        (Speaker::User, "answer"),
    ];
    assert_eq!(said, expected.map(|(s, t)| (s, t.to_owned())));
    assert_eq!(continued(&prompt, [("r", "a")]).len(), 6);
}

proptest! {
    /// One more turn, and the former messages stand before it unchanged.
    #[test]
    fn prompts_are_append_only(kinds in proptest::collection::vec((0_usize..9, "[a-z\n]{0,8}"), 1..12), turns in proptest::collection::vec("[a-z\n ]{0,8}", 1..6)) {
        const KINDS: [Kind; 9] = [
            Kind::System, Kind::Domain, Kind::Task, Kind::Program, Kind::Listing, Kind::File, Kind::Retrieved,
            Kind::Summary, Kind::Step,
        ];
        let mut parts: Vec<_> = kinds.into_iter().map(|(n, text)| (KINDS[n], text)).collect();
        let mut before = messages(&fitted(&parts));
        for turn in turns {
            parts.push((Kind::Turn, turn));
            let after = messages(&fitted(&parts));
            prop_assert_eq!(&after[..before.len()], &before[..]);
            prop_assert_eq!(after.len(), before.len() + 1);
            before = after;
        }
    }
}
