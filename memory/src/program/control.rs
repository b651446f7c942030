//! Instructions that decide what is done: each is replaced by others, or by none, when its turn comes. A program that was
//! carried out therefore has no such instruction left, and its versions say what became of each.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use serde::{Deserialize, Serialize};

use super::{CheckKind, Instruction, Program};
use crate::ids::{InstructionId, RequirementId};
use crate::slug::slug;

/// Most items that a list may be gone through.
pub const ITEMS_LIMIT: u32 = 500;
/// Most rounds of a loop.
pub const ROUNDS_LIMIT: u32 = 50;
/// Control inside of control, at most so deep.
pub const DEPTH_MAX: usize = 4;
/// Most characters of an item.
const ITEM_CHARS_MAX: usize = 400;

/// What an instruction does instead of working on files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Control {
    /// The body once for each item of a list. In its texts and paths `{item}` stands for the item, `{number}` for its
    /// number (`01`), `{slug}` for the item as a part of a file's name.
    ForEach {
        /// The file with the list: Markdown's list items, or else its lines.
        list: String,
        /// Of a longer list the first so many.
        items_max: u32,
        /// What is done for each.
        body: Vec<Instruction>,
    },
    /// One of two bodies.
    If {
        /// A check of the files as they are then; a check that could not be executed does not hold.
        condition: CheckKind,
        /// Where it holds.
        #[serde(default)]
        then: Vec<Instruction>,
        /// Where it does not.
        #[serde(default, rename = "else", skip_serializing_if = "Vec::is_empty")]
        otherwise: Vec<Instruction>,
    },
    /// The body again and again as long as the condition holds.
    While {
        /// A check of the files as they are before each round.
        condition: CheckKind,
        /// At most so many rounds, whatever the condition says.
        rounds_max: u32,
        /// What is done in each. `{number}` stands for the round.
        body: Vec<Instruction>,
        /// Rounds that began; written by the machine.
        #[serde(default)]
        rounds: u32,
    },
    /// The planner says which chapters a part of a book has; they follow behind all that is there. In the body's texts and paths
    /// `{number}` stands for the chapter's number, `{item}` for its title and what it tells.
    Part {
        /// The number of its first chapter.
        first: u32,
        /// Chapters that are asked for.
        chapters: u32,
        /// Beats, fewest and most words of each, as in [`Control::Chapter`].
        beats: u32,
        /// Fewest words of each.
        words_min: u32,
        /// Most words of each.
        words_max: u32,
        /// A chapter as one instruction.
        body: Vec<Instruction>,
    },
    /// The planner says what happens in a chapter, in the light of what was told before; its sections follow.
    Chapter {
        /// Beats that are asked for.
        beats: u32,
        /// Fewest words of the chapter.
        words_min: u32,
        /// Most words of it.
        words_max: u32,
        /// The chapter as one instruction.
        body: Vec<Instruction>,
    },
    /// The planner writes what comes after this instruction again, in the light of the files and of what is met.
    Replan {
        /// Most steps that it may write.
        steps_max: u32,
        /// What the end of the run found, where the machine itself asks for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shortfall: Option<Shortfall>,
    },
    /// A person reads what is there and says whether the program goes on.
    Approve {
        /// What they are asked.
        question: String,
    },
}

/// What a program that was carried out to its end did not come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shortfall {
    /// Requirements that are not met.
    pub requirements: Vec<RequirementId>,
    /// What speaks against each, a line each.
    pub why: String,
}

impl Control {
    /// Its kind in the words of a program's file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ForEach { .. } => "for_each",
            Self::If { .. } => "if",
            Self::While { .. } => "while",
            Self::Part { .. } => "part",
            Self::Chapter { .. } => "chapter",
            Self::Replan { .. } => "replan",
            Self::Approve { .. } => "approve",
        }
    }

    /// The instructions in it, those of every branch.
    pub fn bodies(&self) -> impl Iterator<Item = &Instruction> {
        let (first, second): (&[Instruction], &[Instruction]) = match self {
            Self::ForEach { body, .. }
            | Self::While { body, .. }
            | Self::Part { body, .. }
            | Self::Chapter { body, .. } => (body, &[]),
            Self::If { then, otherwise, .. } => (then, otherwise),
            Self::Replan { .. } | Self::Approve { .. } => (&[], &[]),
        };
        first.iter().chain(second)
    }

    /// The check that decides, if one does.
    pub fn condition(&self) -> Option<&CheckKind> {
        match self {
            Self::If { condition, .. } | Self::While { condition, .. } => Some(condition),
            _ => None,
        }
    }
}

/// What was found when a control instruction's turn came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// The items of its list.
    Items(Vec<String>),
    /// Whether its condition holds.
    Holds(bool),
}

/// The items of a list in Markdown, or, where it has none, its lines that are not empty and no headings. Linear in the text.
pub fn items(text: &str) -> Vec<String> {
    let mut listed = Vec::new();
    let mut open: Vec<String> = Vec::new();
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::Item) => open.push(String::new()),
            // An item ends where one inside of it begins or it ends itself.
            Event::Start(Tag::List(_)) => listed.extend(open.last_mut().map(std::mem::take)),
            Event::End(TagEnd::Item) => listed.extend(open.pop()),
            Event::Text(said) | Event::Code(said) => {
                if let Some(item) = open.last_mut() {
                    item.push_str(&said);
                }
            }
            Event::SoftBreak | Event::HardBreak => {
                if let Some(item) = open.last_mut() {
                    item.push(' ');
                }
            }
            _ => {}
        }
    }
    let tidy = |item: &str| item.trim().chars().take(ITEM_CHARS_MAX).collect::<String>();
    let listed: Vec<_> = listed.iter().map(|item| tidy(item)).filter(|item| !item.is_empty()).collect();
    if !listed.is_empty() {
        return listed;
    }
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(tidy)
        .filter(|l| !l.is_empty())
        .collect()
}

impl Program {
    /// Every instruction, those inside of others after them.
    pub fn all(&self) -> Vec<&Instruction> {
        let mut out = Vec::new();
        let mut open: Vec<&Instruction> = self.instructions.iter().rev().collect();
        while let Some(next) = open.pop() {
            out.push(next);
            let inside: Vec<_> = next.control.iter().flat_map(Control::bodies).collect();
            open.extend(inside.into_iter().rev());
        }
        out
    }

    /// The program with `id`, a control instruction of the first level, replaced by what follows from what was found, and
    /// why, in words. `None` where the two do not belong together.
    pub fn resolved(&self, id: InstructionId, found: &Found) -> Option<(Self, String)> {
        let at = self.instructions.iter().position(|i| i.id == id)?;
        let instruction = &self.instructions[at];
        let mut free = self.all().iter().map(|i| i.id.0).max().unwrap_or(0);
        let (instead, why) = match (instruction.control.as_ref()?, found) {
            (Control::ForEach { list, items_max, body }, Found::Items(items)) => {
                let count = items.len().min(*items_max as usize);
                let rounds = items.iter().take(count).zip(1..);
                let instead: Vec<_> =
                    rounds.flat_map(|(item, n)| instances(body, item, n, id, &mut free)).collect();
                let of = if items.len() > count { format!(" of {}", items.len()) } else { String::new() };
                (instead, format!("step {id} goes through {count}{of} item(s) of {list}"))
            }
            (Control::If { then, otherwise, .. }, Found::Holds(holds)) => {
                let branch = if *holds { then } else { otherwise };
                let said = if *holds { "holds" } else { "does not hold" };
                (branch.clone(), format!("the condition of step {id} {said}"))
            }
            (Control::While { body, rounds_max, rounds, condition }, Found::Holds(true))
                if rounds < rounds_max =>
            {
                let round = rounds + 1;
                let mut instead = instances(body, &round.to_string(), round, id, &mut free);
                let control = Control::While {
                    body: body.clone(),
                    rounds_max: *rounds_max,
                    rounds: round,
                    condition: condition.clone(),
                };
                instead.push(Instruction { control: Some(control), ..instruction.clone() });
                (instead, format!("round {round} of step {id}"))
            }
            (Control::While { rounds, rounds_max, .. }, Found::Holds(holds)) => {
                let said = if *holds {
                    format!(
                        "step {id} ends after rounds_max = {rounds_max} round(s), and its condition still holds"
                    )
                } else {
                    format!("step {id} ends after {rounds} round(s): its condition holds no more")
                };
                (Vec::new(), said)
            }
            _ => return None,
        };
        let mut program = self.clone();
        program.instructions.splice(at..=at, instead);
        Some((program, why))
    }

    /// The chapters of a part for these titles, each with what it tells, as instructions whose turn is still to come.
    pub fn chapters_of(&self, id: InstructionId, items: &[String]) -> Option<Vec<Instruction>> {
        let part = self.instructions.iter().find(|i| i.id == id)?;
        let Some(Control::Part { first, beats, words_min, words_max, body, .. }) = &part.control else {
            return None;
        };
        let (beats, words_min, words_max) = (*beats, *words_min, *words_max);
        let mut free = self.all().iter().map(|i| i.id.0).max().unwrap_or(0);
        let mut chapters = Vec::new();
        for (item, number) in items.iter().zip(*first..) {
            let body = instances(body, item, number, id, &mut free);
            free += 1;
            chapters.push(Instruction {
                id: InstructionId(free),
                title: format!("Chapter {number}: {}", item.split(':').next().unwrap_or(item)),
                from: Some(id),
                control: Some(Control::Chapter { beats, words_min, words_max, body }),
                ..Instruction::default()
            });
        }
        Some(chapters)
    }

    /// The program without an instruction.
    #[must_use]
    pub fn without(&self, id: InstructionId) -> Self {
        let mut program = self.clone();
        program.instructions.retain(|i| i.id != id);
        program
    }

    /// Instructions that have to be carried out again after an amendment from `self` to `new`: those that are new or were
    /// changed, and those that read what one of them writes, and so on.
    pub fn stale_in(&self, new: &Self) -> BTreeSet<InstructionId> {
        let before = |i: &Instruction| self.instructions.iter().find(|old| old.id == i.id);
        let changed = |i: &Instruction| before(i).is_none_or(|old| !old.asks_the_same(i));
        let mut stale: BTreeSet<_> = new.instructions.iter().filter(|i| changed(i)).map(|i| i.id).collect();
        loop {
            let written: BTreeSet<&String> =
                new.instructions.iter().filter(|i| stale.contains(&i.id)).flat_map(|i| &i.writes).collect();
            let next = new
                .instructions
                .iter()
                .find(|i| !stale.contains(&i.id) && i.reads.iter().any(|path| written.contains(path)));
            match next {
                Some(reader) => stale.insert(reader.id),
                None => return stale,
            };
        }
    }
}

impl Instruction {
    /// Whether another version of it asks for nothing else: how often it may be tried is no other work.
    fn asks_the_same(&self, other: &Self) -> bool {
        *self == Self { attempts_max: self.attempts_max, ..other.clone() }
    }
}

/// The body for one item, with numbers of its own from `free` on.
fn instances(
    body: &[Instruction],
    item: &str,
    number: u32,
    from: InstructionId,
    free: &mut u32,
) -> Vec<Instruction> {
    let number = format!("{number:02}");
    let slug = slug(item).unwrap_or_else(|| number.clone());
    let fill =
        |text: &str| text.replace("{item}", item).replace("{number}", &number).replace("{slug}", &slug);
    body.iter().map(|instruction| instance(instruction, &fill, from, free)).collect()
}

fn instance(
    instruction: &Instruction,
    fill: &impl Fn(&str) -> String,
    from: InstructionId,
    free: &mut u32,
) -> Instruction {
    *free += 1;
    let id = InstructionId(*free);
    let all = |texts: &[String]| texts.iter().map(|text| fill(text)).collect();
    let mut made = Instruction {
        id,
        title: fill(&instruction.title),
        text: fill(&instruction.text),
        reads: all(&instruction.reads),
        writes: all(&instruction.writes),
        from: Some(from),
        ..instruction.clone()
    };
    for check in &mut made.checks {
        check.kind = filled(&check.kind, fill);
    }
    if let Some(control) = &mut made.control {
        match control {
            Control::ForEach { list, body, .. } => {
                *list = fill(list);
                refill(body, fill, from, free);
            }
            Control::If { condition, then, otherwise } => {
                *condition = filled(condition, fill);
                refill(then, fill, from, free);
                refill(otherwise, fill, from, free);
            }
            Control::While { condition, body, .. } => {
                *condition = filled(condition, fill);
                refill(body, fill, from, free);
            }
            Control::Part { body, .. } | Control::Chapter { body, .. } => refill(body, fill, from, free),
            Control::Replan { .. } => {}
            Control::Approve { question } => *question = fill(question),
        }
    }
    made
}

fn refill(body: &mut Vec<Instruction>, fill: &impl Fn(&str) -> String, from: InstructionId, free: &mut u32) {
    *body = body.iter().map(|inside| instance(inside, fill, from, free)).collect();
}

/// A check with every text in it filled in. Its form stays: values are replaced, never keys.
fn filled(kind: &CheckKind, fill: &impl Fn(&str) -> String) -> CheckKind {
    fn walk(value: &mut serde_json::Value, fill: &impl Fn(&str) -> String) {
        match value {
            serde_json::Value::String(text) => *text = fill(text),
            serde_json::Value::Array(all) => all.iter_mut().for_each(|v| walk(v, fill)),
            serde_json::Value::Object(map) => {
                *map = std::mem::take(map)
                    .into_iter()
                    .map(|(key, mut value)| {
                        walk(&mut value, fill);
                        // Golden files are keys: paths, which no field's name looks like.
                        (if key.contains('{') { fill(&key) } else { key }, value)
                    })
                    .collect();
            }
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::to_value(kind) else { return kind.clone() };
    walk(&mut value, fill);
    serde_json::from_value(value).unwrap_or_else(|_| kind.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::program::Check;
    use crate::program::validate::tests::sample;
    use crate::program::validate::validate;

    fn step(id: u32, text: &str, reads: &[&str], writes: &[&str]) -> Instruction {
        let all = |paths: &[&str]| paths.iter().map(|&p| p.to_owned()).collect();
        Instruction {
            id: InstructionId(id),
            title: text.to_owned(),
            text: text.to_owned(),
            reads: all(reads),
            writes: all(writes),
            attempts_max: 3,
            ..Instruction::default()
        }
    }

    fn deciding(id: u32, control: Control) -> Instruction {
        Instruction {
            id: InstructionId(id),
            title: control.name().to_owned(),
            attempts_max: 3,
            control: Some(control),
            ..Instruction::default()
        }
    }

    fn with(instructions: Vec<Instruction>) -> Program {
        let mut program = sample();
        program.instructions.extend(instructions);
        program
    }

    fn exists(path: &str) -> CheckKind {
        CheckKind::Exists { path: path.to_owned() }
    }

    fn ids(program: &Program) -> Vec<u32> {
        program.instructions.iter().map(|i| i.id.0).collect()
    }

    #[test]
    fn a_list_in_markdown_or_in_lines() {
        let nested = "# Plan\n\nWords.\n\n1. **First** `one`\n   goes on\n2. Second\n   - inner\n";
        assert_eq!(items(nested), ["First one goes on", "Second", "inner"]);
        assert_eq!(items("# Head\n\none\n\n  two \n"), ["one", "two"]);
        assert!(items("# Nothing\n").is_empty());
        assert_eq!(items(&format!("- {}", "x".repeat(900)))[0].len(), ITEM_CHARS_MAX);
    }

    #[test]
    fn each_item_has_steps_of_its_own() {
        let mut body = step(9, "Write {item} as number {number}.", &[], &["src/{slug}.py"]);
        body.checks.push(Check { kind: exists("src/{slug}.py"), covers: vec![] });
        let each = Control::ForEach { list: "todo.py".into(), items_max: 2, body: vec![body] };
        let program = with(vec![deciding(5, each), step(6, "End.", &[], &[])]);
        assert_eq!(validate(&program), []);
        let found = Found::Items(["Add things", "Töne", "More"].map(str::to_owned).to_vec());
        let (resolved, why) = program.resolved(InstructionId(5), &found).unwrap();
        assert_eq!(ids(&resolved), [1, 10, 11, 6]);
        assert!(why.contains("2 of 3 item(s)"), "{why}");
        let first = &resolved.instructions[1];
        assert_eq!(
            (first.text.as_str(), first.writes[0].as_str()),
            ("Write Add things as number 01.", "src/add-things.py")
        );
        assert_eq!(first.checks[0].kind, exists("src/add-things.py"));
        assert_eq!(first.from, Some(InstructionId(5)));
        let (none, _) = program.resolved(InstructionId(5), &Found::Items(vec![])).unwrap();
        assert_eq!(ids(&none), [1, 6]);
    }

    #[test]
    fn one_branch_is_taken() {
        let control = Control::If {
            condition: exists("a"),
            then: vec![step(2, "Then.", &[], &[])],
            otherwise: vec![step(3, "Else.", &[], &[])],
        };
        let program = with(vec![deciding(4, control)]);
        let taken = |holds| ids(&program.resolved(InstructionId(4), &Found::Holds(holds)).unwrap().0);
        assert_eq!((taken(true), taken(false)), (vec![1, 2], vec![1, 3]));
        assert_eq!(program.resolved(InstructionId(4), &Found::Items(vec![])), None);
        assert_eq!(program.resolved(InstructionId(1), &Found::Holds(true)), None, "it decides nothing");
    }

    proptest! {
        #[test]
        fn a_loop_ends(rounds_max in 1u32..9, answers in prop::collection::vec(any::<bool>(), 12)) {
            let control = Control::While {
                condition: exists("a"), rounds_max, body: vec![step(3, "Round {number}.", &[], &[])], rounds: 0,
            };
            let mut program = with(vec![deciding(2, control)]);
            let mut rounds = 0;
            for holds in &answers {
                let Some((next, _)) = program.resolved(InstructionId(2), &Found::Holds(*holds)) else { break };
                rounds += u32::from(next.instructions.len() > program.instructions.len());
                program = next;
                let all = ids(&program);
                prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "numbers are used once");
            }
            prop_assert!(rounds <= rounds_max);
            prop_assert!(answers.iter().all(|a| *a) || program.instructions.iter().all(|i| i.control.is_none()));
        }
    }

    #[test]
    fn what_reads_what_changed_is_stale() {
        let program = with(vec![
            step(2, "Two.", &["todo.py"], &["b.py"]),
            step(3, "Three.", &["b.py"], &["c.py"]),
            step(4, "Four.", &[], &["d.py"]),
        ]);
        let stale = |change: &dyn Fn(&mut Program)| {
            let mut new = program.clone();
            change(&mut new);
            program.stale_in(&new).into_iter().map(|id| id.0).collect::<Vec<_>>()
        };
        assert_eq!(stale(&|_| ()), [0; 0]);
        assert_eq!(stale(&|p| p.instructions[0].text.push('!')), [1, 2, 3]);
        assert_eq!(stale(&|p| p.instructions[2].text.push('!')), [3]);
        assert_eq!(stale(&|p| p.instructions[3].attempts_max = 9), [0; 0], "no other work");
        assert_eq!(stale(&|p| p.instructions.push(step(7, "New.", &[], &["b.py"]))), [3, 7]);
    }

    #[test]
    fn programs_with_control_are_toml_too() {
        let each = Control::ForEach {
            list: "todo.py".into(),
            items_max: 3,
            body: vec![step(3, "{item}", &[], &["{slug}.md"])],
        };
        let control = Control::While {
            condition: exists("a"),
            rounds_max: 2,
            body: vec![deciding(2, each)],
            rounds: 0,
        };
        let program = with(vec![
            deciding(4, control),
            deciding(5, Control::Replan { steps_max: 3, shortfall: None }),
            deciding(6, Control::Approve { question: "Good?".into() }),
        ]);
        let toml = crate::program::exchange::to_toml(&program).unwrap();
        assert_eq!(crate::program::exchange::from_toml(&toml).unwrap(), program, "{toml}");
        assert_eq!(program.all().iter().map(|i| i.id.0).collect::<Vec<_>>(), [1, 4, 2, 3, 5, 6]);
        let error =
            crate::program::exchange::from_toml(&toml.replace("rounds_max", "round_max")).unwrap_err();
        assert!(error.to_string().contains("round_max"), "{error}");
    }

    #[test]
    fn what_cannot_be_carried_out_is_named() {
        let faults = |instruction: Instruction| {
            let found = validate(&with(vec![instruction]));
            found.into_iter().map(|p| format!("{}: {}", p.place, p.what)).collect::<Vec<_>>().join("\n")
        };
        let each = |items_max, text: &str| {
            let body = vec![step(3, text, &[], &[])];
            deciding(2, Control::ForEach { list: "todo.py".into(), items_max, body })
        };
        assert_eq!(faults(each(3, "{item}")), "");
        assert!(faults(each(0, "{item}")).contains("items_max is 0"));
        assert!(faults(each(3, "the same")).contains("says the same for every item"));
        assert!(
            faults(deciding(2, Control::Approve { question: " ".into() })).contains("asks a person nothing")
        );
        assert!(
            faults(deciding(2, Control::Replan { steps_max: 0, shortfall: None })).contains("steps_max is 0")
        );
        let loops = |rounds_max, body| Control::While { condition: exists("a"), rounds_max, body, rounds: 0 };
        assert!(faults(deciding(2, loops(99, vec![step(3, "x", &[], &[])]))).contains("rounds_max is 99"));
        assert!(faults(deciding(2, loops(1, vec![]))).contains("Its body is empty"));
        let bad = CheckKind::Runs {
            command: " ".into(),
            input: None,
            exit_status: 0,
            output: crate::program::Expected::default(),
        };
        let both = Control::If { condition: bad, then: vec![], otherwise: vec![] };
        let said = faults(deciding(2, both));
        assert!(said.contains("Neither of its branches") && said.contains("runs no command"), "{said}");
        assert!(
            faults(Instruction { text: "Do it.".into(), ..each(3, "{item}") }).contains("says what to do")
        );
        let deep = (0..6).fold(step(20, "x", &[], &[]), |inner, n| deciding(10 + n, loops(1, vec![inner])));
        assert!(faults(deep).contains("lies inside of 4 others"));
        let twice = deciding(2, loops(1, vec![step(1, "x", &[], &[])]));
        assert!(faults(twice).contains("used twice"));
        assert!(faults(step(2, "x", &["late.py"], &[])).is_empty(), "it may be there already");
        let program = with(vec![step(2, "x", &["late.py"], &[]), step(3, "y", &[], &["late.py"])]);
        assert!(validate(&program)[0].what.contains("which only step 3, later, writes"));
    }
}
