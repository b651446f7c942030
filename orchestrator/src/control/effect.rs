//! What the control unit can ask for. Effects are data: they can be stored, compared and performed twice.

use std::fmt;

use edvac_agents::protocol::{Action, Understood};
use edvac_agents::roles::reviewer::Opinion;
use edvac_memory::ids::{CommitId, EffectKey, InstructionId, TreeId};
use edvac_memory::journal::Record;
use edvac_memory::program::Program;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::control::budget::{Cap, Reserve};
use crate::control::event::{Ended, Settlement, StopReason};
use crate::dependencies::Needs;

/// What a prompt is for. It names one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "snake_case")]
pub enum Purpose {
    /// Writing the program.
    Plan,
    /// Writing the rest of the program again.
    Replan {
        /// The control instruction that asks for it.
        instruction: InstructionId,
        /// The version that is written again.
        version: u32,
    },
    /// Executing an instruction.
    Work {
        /// Which.
        instruction: InstructionId,
        /// From 1.
        attempt: u32,
        /// How often this attempt was summarised and restarted before.
        restart: u32,
    },
    /// Writing one part of the program again after a test failed. Each repair is a conversation of one reply: a small
    /// model that sees what it wrote before writes it again.
    Repair {
        /// Of which instruction's files.
        instruction: InstructionId,
        /// From 1.
        attempt: u32,
        /// Counted through the attempt, from 1.
        repair: u32,
    },
    /// Summing up a conversation that ended or does not fit any more.
    Summarise {
        /// Whose.
        instruction: InstructionId,
        /// From 1.
        attempt: u32,
        /// Which restart is summed up.
        restart: u32,
    },
    /// Judging whether tests that a step gives up may go.
    Review {
        /// Which step.
        instruction: InstructionId,
        /// From 1.
        attempt: u32,
        /// Counted through the attempt, from 1.
        review: u32,
    },
}

impl Purpose {
    /// The instruction that is being carried out; none where a plan is written.
    pub fn instruction(&self) -> Option<InstructionId> {
        match self {
            Self::Plan | Self::Replan { .. } => None,
            Self::Work { instruction, .. }
            | Self::Repair { instruction, .. }
            | Self::Summarise { instruction, .. }
            | Self::Review { instruction, .. } => Some(*instruction),
        }
    }

    /// Its attempt, from 1; none where a plan is written.
    pub fn attempt(&self) -> Option<u32> {
        match self {
            Self::Plan | Self::Replan { .. } => None,
            Self::Work { attempt, .. }
            | Self::Repair { attempt, .. }
            | Self::Summarise { attempt, .. }
            | Self::Review { attempt, .. } => Some(*attempt),
        }
    }
}

impl Purpose {
    /// The seed of the reply to this turn, in a run whose own seed is `own`: the same in every process.
    pub fn seed(&self, turn: u32, own: u64) -> u64 {
        let asked = format!("{self}/t{turn}");
        let asked = if own > 0 { format!("{own}/{asked}") } else { asked };
        let digest = blake3::hash(asked.as_bytes());
        u64::from_le_bytes(digest.as_bytes()[..8].try_into().unwrap_or_default())
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan => f.write_str("plan"),
            Self::Replan { instruction, version } => write!(f, "i{instruction}/v{version}/replan"),
            Self::Work { instruction, attempt, restart } => write!(f, "i{instruction}/a{attempt}/r{restart}"),
            Self::Repair { instruction, attempt, repair } => write!(f, "i{instruction}/a{attempt}/m{repair}"),
            Self::Summarise { instruction, attempt, restart } => {
                write!(f, "i{instruction}/a{attempt}/r{restart}/summary")
            }
            Self::Review { instruction, attempt, review } => {
                write!(f, "i{instruction}/a{attempt}/v{review}")
            }
        }
    }
}

/// The part of a run that an effect belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Writing the program, or the rest of it again.
    Planning,
    /// A step.
    Step(InstructionId),
    /// Anything else.
    Rest,
}

/// The part that the effect with this key belongs to.
pub fn phase_of(key: &EffectKey) -> Phase {
    let numbered =
        |part: &str, letter| part.strip_prefix(letter).and_then(|number| number.parse::<u32>().ok());
    let mut parts = key.as_str().split('/').skip_while(|part| numbered(part, 'e').is_some());
    match parts.next() {
        Some("plan") => Phase::Planning,
        Some(part) if numbered(part, 'i').is_some() && !parts.any(|part| part == "replan") => {
            numbered(part, 'i').map_or(Phase::Rest, |id| Phase::Step(InstructionId(id)))
        }
        Some(part) if numbered(part, 'i').is_some() => Phase::Planning,
        _ => Phase::Rest,
    }
}

/// Where in a run an effect stands, as its key says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// How often a person had taken the run back or changed its program.
    pub epoch: u32,
    /// Whether its instruction is carried out once more, after a conflict.
    pub is_again: bool,
    /// The instruction in its key; none where it has none.
    pub instruction: Option<InstructionId>,
    /// The conversation that it is a part of, if it is.
    pub purpose: Option<Purpose>,
    /// Which turn of it, from 0.
    pub turn: Option<u32>,
}

/// Where the effect with this key stands: what [`Effect::key`] was made of.
pub fn site_of(key: &EffectKey) -> Site {
    let numbered =
        |part: Option<&&str>, letter| part?.strip_prefix::<char>(letter).and_then(|n| n.parse::<u32>().ok());
    let mut parts: Vec<&str> = key.as_str().split('/').collect();
    let epoch = numbered(parts.first(), 'e');
    parts.drain(..usize::from(epoch.is_some()));
    let is_again = parts.get(1) == Some(&"again");
    if is_again {
        parts.remove(1);
    }
    let instruction = numbered(parts.first(), 'i').map(InstructionId);
    let purpose = match (instruction, numbered(parts.get(1), 'a')) {
        (None, _) => (parts[0] == "plan").then_some(Purpose::Plan),
        (Some(instruction), None) => numbered(parts.get(1), 'v')
            .filter(|_| parts.get(2) == Some(&"replan"))
            .map(|version| Purpose::Replan { instruction, version }),
        (Some(instruction), Some(attempt)) => {
            let number = |letter| numbered(parts.get(2), letter);
            let sums_up = parts.get(3) == Some(&"summary");
            let talks = number('r').map(|restart| {
                if sums_up {
                    Purpose::Summarise { instruction, attempt, restart }
                } else {
                    Purpose::Work { instruction, attempt, restart }
                }
            });
            let repairs = number('m').map(|repair| Purpose::Repair { instruction, attempt, repair });
            let reviews = number('v').map(|review| Purpose::Review { instruction, attempt, review });
            talks.or(repairs).or(reviews)
        }
    };
    let turn = purpose.and_then(|_| parts.iter().rev().find_map(|part| numbered(Some(part), 't')));
    Site { epoch: epoch.unwrap_or(0), is_again, instruction, purpose, turn }
}

/// What an intent says of an effect that tools of other programs are called by: they may do what cannot be done twice.
const REACHES_OUT: &str = "reaches_out";

/// The effect that an intent announces, if it reaches out of the run.
pub fn reaching_out(intent: &Record) -> Option<&EffectKey> {
    intent.key.as_ref().filter(|_| intent.body.get(REACHES_OUT) == Some(&true.into()))
}

/// One thing to do. Its result is recorded once under its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Look at what was there before the run, and run its tests.
    Survey {
        /// The files.
        tree: TreeId,
        /// Counted through the run, from 1: packages that are installed for the tests let them be run again.
        number: u32,
    },
    /// Put a prompt together from the state and the tree.
    Assemble {
        /// For what.
        purpose: Purpose,
    },
    /// Send the conversation and wait for the reply.
    Call {
        /// Which conversation.
        purpose: Purpose,
        /// Which turn, from 0.
        turn: u32,
        /// What it may cost at most.
        reserve: Reserve,
    },
    /// Tell the planner what is wrong with its plan.
    RefusePlan {
        /// Which plan.
        purpose: Purpose,
        /// The turn that is refused.
        turn: u32,
        /// What is wrong.
        problems: Vec<String>,
    },
    /// Put a program in force.
    Adopt {
        /// The program.
        program: Program,
        /// Its version.
        version: u32,
        /// Why.
        why: String,
    },
    /// Find out what a control instruction depends on.
    Weigh {
        /// The instruction.
        instruction: InstructionId,
        /// The files.
        tree: TreeId,
        /// The version of the program that it belongs to: a loop is weighed once a round.
        version: u32,
    },
    /// Do what a worker's reply asks for.
    Act {
        /// Whose reply.
        purpose: Purpose,
        /// Which turn.
        turn: u32,
        /// The tree before it.
        base: TreeId,
        /// What it asks for.
        understood: Understood,
        /// Whether this very reply was given before in this attempt.
        repeated: bool,
    },
    /// Install packages that the project asks for.
    Install {
        /// Which.
        needs: Needs,
        /// Counted through the run, for these packages, from 1.
        number: u32,
    },
    /// Execute an instruction's checks.
    Check {
        /// Whose work.
        purpose: Purpose,
        /// Which turn.
        turn: u32,
        /// On what.
        tree: TreeId,
        /// What the reviewer thinks of the tests that it gives up; none where it gives up none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opinion: Option<Opinion>,
    },
    /// Put what an instruction changed onto what was committed since it began.
    Merge {
        /// The instruction.
        instruction: InstructionId,
        /// What it ends with.
        ended: Ended,
        /// The tree that it began with.
        base: TreeId,
        /// The last committed tree.
        onto: TreeId,
        /// What it read.
        reads: Vec<String>,
        /// What it declares to write.
        writes: Vec<String>,
        /// Whether what it wrote besides was recorded, or need not be.
        admitted: bool,
    },
    /// Execute an instruction's checks once more, on a merged tree.
    CheckMerged {
        /// The instruction.
        instruction: InstructionId,
        /// On what.
        tree: TreeId,
    },
    /// Make an instruction's tree a commit.
    Commit {
        /// The instruction.
        instruction: InstructionId,
        /// The attempt whose tree it is.
        attempt: u32,
        /// How it ended.
        settlement: Settlement,
        /// The limit of which it has used its share, if that ends it.
        cut: Option<Cap>,
        /// The commit before.
        parent: Option<CommitId>,
        /// The tree.
        tree: TreeId,
        /// Journaled time.
        time_s: i64,
    },
    /// Execute every check of the program on the last tree.
    CheckAll {
        /// The last tree.
        tree: TreeId,
        /// How often what was left had been planned again before.
        #[serde(default)]
        round: u32,
    },
    /// Draw the line: ledger and report.
    Finish,
    /// Do not go on. Recorded as a fact, since a run may stop and be resumed more than once.
    Stop {
        /// Why.
        why: StopReason,
    },
}

impl Effect {
    /// The key under which its result is recorded. The same decision has the same key in every process. After a person took
    /// the run back or changed its program (which begins an `epoch`) the same work is another decision.
    pub fn key(&self, epoch: u32) -> EffectKey {
        in_epoch(epoch, self.key_in_epoch())
    }

    /// The same where a conflict has the instruction carried out once more.
    pub fn key_again(&self, epoch: u32) -> EffectKey {
        in_epoch(epoch, self.key_in_epoch().replacen('/', "/again/", 1))
    }

    /// The conversation that it is a part of, if it is.
    pub fn purpose(&self) -> Option<Purpose> {
        match self {
            Self::Assemble { purpose }
            | Self::Call { purpose, .. }
            | Self::RefusePlan { purpose, .. }
            | Self::Act { purpose, .. }
            | Self::Check { purpose, .. } => Some(*purpose),
            _ => None,
        }
    }

    /// The instruction that it is a part of carrying out; none where it is about the run or its program.
    pub fn instruction(&self) -> Option<InstructionId> {
        match self {
            Self::Assemble { purpose }
            | Self::Call { purpose, .. }
            | Self::Act { purpose, .. }
            | Self::Check { purpose, .. } => purpose.instruction(),
            Self::Merge { instruction, .. }
            | Self::CheckMerged { instruction, .. }
            | Self::Commit { instruction, .. } => Some(*instruction),
            _ => None,
        }
    }

    /// Whether it brings an instruction to its end that others were carried out beside.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Merge { .. } | Self::CheckMerged { .. } | Self::Commit { .. })
    }

    fn key_in_epoch(&self) -> String {
        match self {
            Self::Survey { number, .. } => format!("survey/{number}"),
            Self::Assemble { purpose } => format!("{purpose}/assemble"),
            Self::Call { purpose, turn, .. } => format!("{purpose}/t{turn}/call"),
            Self::RefusePlan { purpose, turn, .. } => format!("{purpose}/t{turn}/refuse"),
            Self::Weigh { instruction, version, .. } => format!("i{instruction}/v{version}/weigh"),
            Self::Adopt { version, .. } => format!("program/v{version}"),
            Self::Act { purpose, turn, .. } => format!("{purpose}/t{turn}/act"),
            Self::Install { needs, number } => format!("install/{}/{number}", needs.digest),
            Self::Check { purpose, turn, .. } => format!("{purpose}/t{turn}/check"),
            Self::Merge { instruction, admitted: false, .. } => format!("i{instruction}/merge"),
            Self::Merge { instruction, .. } => format!("i{instruction}/merge/admitted"),
            Self::CheckMerged { instruction, .. } => format!("i{instruction}/merge/check"),
            Self::Commit { instruction, .. } => format!("i{instruction}/commit"),
            Self::CheckAll { round: 0, .. } => "final/check".to_owned(),
            Self::CheckAll { round, .. } => format!("final/check/{round}"),
            Self::Finish => "final/report".to_owned(),
            Self::Stop { .. } => "stop".to_owned(),
        }
    }

    /// What its intent says: its kind, of a call what is reserved for it, and whether it reaches out of the run.
    pub fn intent(&self) -> Value {
        let mut body = json!({ "effect": self.name() });
        if let Self::Act { understood, .. } = self
            && understood.actions.iter().any(|action| matches!(action, Action::Call { .. }))
        {
            body[REACHES_OUT] = true.into();
        }
        if let Self::Call { reserve, .. } = self {
            body["reserve"] = json!(reserve);
        }
        body
    }

    /// Its kind in one word, for the journal's intents and for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Survey { .. } => "survey",
            Self::Assemble { .. } => "assemble",
            Self::Call { .. } => "call",
            Self::RefusePlan { .. } => "refuse_plan",
            Self::Adopt { .. } => "adopt",
            Self::Weigh { .. } => "weigh",
            Self::Act { .. } => "act",
            Self::Install { .. } => "install",
            Self::Check { .. } => "check",
            Self::Merge { .. } => "merge",
            Self::CheckMerged { .. } => "check_merged",
            Self::Commit { .. } => "commit",
            Self::CheckAll { .. } => "check_all",
            Self::Finish => "finish",
            Self::Stop { .. } => "stop",
        }
    }
}

fn in_epoch(epoch: u32, key: String) -> EffectKey {
    EffectKey(if epoch == 0 { key } else { format!("e{epoch}/{key}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_which_part_of_a_run_it_is_of() {
        let step = |id| Phase::Step(InstructionId(id));
        let work = Purpose::Work { instruction: InstructionId(12), attempt: 1, restart: 0 };
        let again = Purpose::Replan { instruction: InstructionId(3), version: 2 };
        for (effect, part) in [
            (Effect::Assemble { purpose: Purpose::Plan }, Phase::Planning),
            (Effect::Assemble { purpose: again }, Phase::Planning),
            (Effect::Call { purpose: work, turn: 0, reserve: Reserve::default() }, step(12)),
            (Effect::Finish, Phase::Rest),
        ] {
            assert_eq!([0, 7].map(|epoch| phase_of(&effect.key(epoch))), [part, part]);
        }
    }

    #[test]
    fn a_key_is_read_as_what_it_was_made_of() {
        let instruction = InstructionId(12);
        for purpose in [
            Purpose::Plan,
            Purpose::Replan { instruction, version: 2 },
            Purpose::Work { instruction, attempt: 1, restart: 3 },
            Purpose::Repair { instruction, attempt: 2, repair: 24 },
            Purpose::Summarise { instruction, attempt: 1, restart: 0 },
            Purpose::Review { instruction, attempt: 1, review: 1 },
        ] {
            let call = Effect::Call { purpose, turn: 5, reserve: Reserve::default() };
            let assemble = Effect::Assemble { purpose };
            for epoch in [0, 7] {
                let instruction = (purpose != Purpose::Plan).then_some(instruction);
                let site =
                    Site { epoch, is_again: false, instruction, purpose: Some(purpose), turn: Some(5) };
                assert_eq!(site_of(&call.key(epoch)), site);
                assert_eq!(site_of(&assemble.key(epoch)), Site { turn: None, ..site });
                if purpose != Purpose::Plan {
                    assert_eq!(site_of(&call.key_again(epoch)), Site { is_again: true, ..site });
                }
            }
        }
        let weigh = Effect::Weigh { instruction, tree: TreeId("t".into()), version: 3 };
        let site =
            Site { epoch: 0, is_again: false, instruction: Some(instruction), purpose: None, turn: None };
        assert_eq!(site_of(&weigh.key(0)), site);
        assert_eq!(site_of(&Effect::Finish.key(0)), Site { instruction: None, ..site });
    }
}
