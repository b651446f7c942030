//! `watch`: a run on the whole terminal, for people who are connected to the machine by a terminal alone.

use std::io::IsTerminal as _;
use std::time::Duration;

use edvac_orchestrator::config::Config;
use edvac_orchestrator::live::Partials;
use edvac_orchestrator::place::{RunDir, ask_to_end};
use edvac_server::view::{self, RequirementRow, RunView, StepRow};
use edvac_server::{LogLine, Watched};
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Gauge, List, ListItem, ListState, Paragraph, Wrap};

use tokio::signal::unix::{SignalKind, signal};

use super::find;
use crate::args::OneRun;
use crate::failure::{Failure, Outcome};

/// Between two looks at the run.
const PAUSE: Duration = Duration::from_millis(150);
/// Narrower than this, what stands side by side stands below one another.
const WIDE: u16 = 100;
/// Rows of the log.
const LOG_ROWS: u16 = 9;

pub async fn watch(config: &Config, one: &OneRun) -> Outcome {
    let (dir, _) = find(config, one)?;
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "this is no terminal",
            format!(
                "`edvac status {}` says how the run stands, `edvac logs {}` what happened.",
                dir.id, dir.id
            ),
        ));
    }
    let watched = Watched::open(dir.clone()).await.map_err(Failure::from)?;
    let mut terminal = ratatui::try_init().map_err(|e| Failure::machine(format!("the terminal: {e}")))?;
    let ended = follow(&mut terminal, watched, &dir).await;
    ratatui::restore();
    ended.map(|()| 0)
}

async fn follow(
    terminal: &mut ratatui::DefaultTerminal,
    mut watched: Watched,
    dir: &RunDir,
) -> Result<(), Failure> {
    let mut chosen = Chosen::default();
    let broken = |e: std::io::Error| Failure::machine(format!("signals cannot be received: {e}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    loop {
        watched.refresh().await.map_err(Failure::from)?;
        let seen = Seen::of(&mut watched);
        terminal
            .draw(|frame| draw(frame, &seen, &mut chosen))
            .map_err(|e| Failure::machine(format!("the terminal: {e}")))?;
        // Keys are waited for on a thread that may block.
        let key = tokio::select! {
            key = super::models::blocking(next_key) => key?,
            _ = terminate.recv() => return Ok(()),
        };
        match key.map_err(|e| Failure::machine(format!("the keyboard: {e}")))? {
            Some(Key::Quit) => return Ok(()),
            Some(Key::Down) => chosen.step(1, seen.steps.len()),
            Some(Key::Up) => chosen.step(-1, seen.steps.len()),
            Some(Key::Pause) => chosen.said = pause(dir),
            None => {}
        }
    }
}

/// What a key means.
#[derive(Clone, Copy)]
enum Key {
    Quit,
    Up,
    Down,
    Pause,
}

fn next_key() -> std::io::Result<Option<Key>> {
    if !event::poll(PAUSE)? {
        return Ok(None);
    }
    let Event::Key(key) = event::read()? else { return Ok(None) };
    if key.kind != KeyEventKind::Press {
        return Ok(None);
    }
    Ok(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('j') | KeyCode::Down => Some(Key::Down),
        KeyCode::Char('k') | KeyCode::Up => Some(Key::Up),
        KeyCode::Char('p') => Some(Key::Pause),
        _ => None,
    })
}

fn pause(dir: &RunDir) -> String {
    match dir.writer().filter(|pid| *pid > 0).map(ask_to_end) {
        Some(Ok(())) => "it stops when what is in progress has ended".to_owned(),
        Some(Err(why)) => why,
        None => "nobody carries the run out".to_owned(),
    }
}

/// What the person chose.
#[derive(Default)]
struct Chosen {
    /// The step; none follows what is in progress.
    at: Option<usize>,
    list: ListState,
    said: String,
}

impl Chosen {
    fn step(&mut self, by: isize, steps: usize) {
        let now = self.list.selected().unwrap_or(0);
        self.at = Some(now.saturating_add_signed(by).min(steps.saturating_sub(1)));
    }
}

/// A run at one moment.
struct Seen {
    run: RunView,
    steps: Vec<StepRow>,
    requirements: Vec<RequirementRow>,
    partials: Partials,
    log: Vec<LogLine>,
}

impl Seen {
    fn of(watched: &mut Watched) -> Self {
        let from = watched.log.len().saturating_sub(LOG_ROWS as usize);
        Self {
            run: RunView::of(watched, view::now_ms()),
            steps: view::steps(watched),
            requirements: view::requirements(&watched.state),
            log: watched.log[from..].to_vec(),
            partials: watched.partials(),
        }
    }
}

fn draw(frame: &mut Frame, seen: &Seen, chosen: &mut Chosen) {
    let rows = [
        Constraint::Length(2),
        Constraint::Length(4),
        Constraint::Min(6),
        Constraint::Length(LOG_ROWS + 2),
        Constraint::Length(1),
    ];
    let [head, meters, middle, log, foot] = Layout::vertical(rows).areas(frame.area());
    let half = [Constraint::Percentage(50), Constraint::Percentage(50)];
    let [left, right] = if frame.area().width >= WIDE {
        Layout::horizontal(half).areas(middle)
    } else {
        Layout::vertical(half).areas(middle)
    };
    draw_head(frame, head, &seen.run);
    draw_meters(frame, meters, &seen.run);
    draw_steps(frame, left, seen, chosen);
    if seen.partials.is_empty() {
        draw_requirements(frame, right, seen);
    } else {
        draw_replies(frame, right, seen);
    }
    draw_log(frame, log, seen);
    let keys = "q quit · j k step · p pause";
    let said = if chosen.said.is_empty() { keys.to_owned() } else { format!("{keys} · {}", chosen.said) };
    frame.render_widget(Paragraph::new(said).style(Style::new().add_modifier(Modifier::DIM)), foot);
}

fn colour(class: &str) -> Style {
    Style::new().fg(match class {
        "good" => Color::Green,
        "bad" => Color::Red,
        "busy" => Color::Cyan,
        "wait" => Color::Yellow,
        _ => Color::Reset,
    })
}

fn draw_head(frame: &mut Frame, area: Rect, run: &RunView) {
    let row = &run.row;
    let title = Line::from(vec![
        Span::styled(row.title.clone(), Style::new().add_modifier(Modifier::BOLD)),
        Span::raw("  "),
        Span::styled(format!("{} {}", row.mark.sign, row.mark.word), colour(row.mark.class)),
    ]);
    let second = match (&run.question, &run.stopped, run.doing.as_slice()) {
        (Some(question), ..) => format!("it asks you: {question} (edvac approve {})", row.run),
        (None, Some(stopped), _) => stopped.clone(),
        (None, None, []) => format!("{} · {}", row.run, row.model),
        (None, None, doing) => doing.join(" | "),
    };
    frame.render_widget(Paragraph::new(vec![title, Line::raw(second)]), area);
}

fn draw_meters(frame: &mut Frame, area: Rect, run: &RunView) {
    let shown = run.meters.len().min(usize::from(area.width / 18)).max(1);
    let columns = Layout::horizontal(vec![Constraint::Ratio(1, shown as u32); shown]).split(area);
    for (meter, area) in run.meters.iter().zip(columns.iter()) {
        let block = Block::bordered().title(meter.name);
        let inner = block.inner(*area);
        frame.render_widget(block, *area);
        let [value, bar] = Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(inner);
        frame.render_widget(Paragraph::new(meter.value.clone()), value);
        match meter.percent {
            Some(percent) => {
                let gauge = Gauge::default().percent(percent.min(100) as u16).label(format!("{percent} %"));
                frame.render_widget(gauge.gauge_style(Style::new().fg(Color::Cyan)), bar);
            }
            None => frame.render_widget(Paragraph::new(meter.detail.clone()), bar),
        }
    }
}

fn draw_steps(frame: &mut Frame, area: Rect, seen: &Seen, chosen: &mut Chosen) {
    let current = seen.steps.iter().position(|step| step.status == "running");
    let waiting = || seen.steps.iter().position(|step| step.status == "waiting");
    chosen.list.select(chosen.at.or(current).or_else(waiting));
    let items = seen.steps.iter().map(|step| {
        let tries = if step.attempts > 1 { format!(", attempt {}", step.attempts) } else { String::new() };
        ListItem::new(Line::from(vec![
            Span::styled(format!("{} ", step.sign), colour(step.class)),
            Span::raw(format!("{}. {}", step.id, step.title)),
            Span::styled(format!("  {}{tries}", step.word), Style::new().add_modifier(Modifier::DIM)),
        ]))
    });
    let title = format!("Program, {} of {} steps ended", seen.run.row.steps_ended, seen.run.row.steps);
    let list = List::new(items).block(Block::bordered().title(title)).highlight_symbol("› ");
    frame.render_stateful_widget(list, area, &mut chosen.list);
}

fn draw_requirements(frame: &mut Frame, area: Rect, seen: &Seen) {
    let tally = &seen.run.row.requirements;
    let so_far = if tally.is_final { "" } else { " so far" };
    let lines: Vec<_> = seen
        .requirements
        .iter()
        .map(|r| {
            Line::from(vec![
                Span::styled(format!("{} {} ", r.mark.sign, r.mark.word), colour(r.mark.class)),
                Span::raw(format!("{} {}", r.id, r.text)),
            ])
        })
        .collect();
    let title = format!("Requirements, {} of {} met{so_far}", tally.met, tally.all);
    frame.render_widget(
        Paragraph::new(lines).wrap(Wrap { trim: true }).block(Block::bordered().title(title)),
        area,
    );
}

/// The ends of the replies in progress: what is being written is at the bottom.
fn draw_replies(frame: &mut Frame, area: Rect, seen: &Seen) {
    let share = vec![Constraint::Ratio(1, seen.partials.len() as u32); seen.partials.len()];
    let areas = Layout::vertical(share).split(area);
    for (partial, area) in seen.partials.values().zip(areas.iter()) {
        let of = &partial.about;
        let how_far = if partial.tokens == 0 {
            format!("{of}: reading the prompt, {} of {} tokens", partial.prompt_done, partial.prompt_total)
        } else {
            format!("{of}: {} tokens", partial.tokens)
        };
        let width = usize::from(area.width.saturating_sub(2)).max(1);
        let rows = usize::from(area.height.saturating_sub(2));
        let lines = last_rows(&partial.text, width, rows);
        frame.render_widget(Paragraph::new(lines.join("\n")).block(Block::bordered().title(how_far)), *area);
    }
}

/// The last rows of a text that is broken at a width.
fn last_rows(text: &str, width: usize, rows: usize) -> Vec<String> {
    let mut all = Vec::new();
    for line in text.lines().rev() {
        let chars: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let pieces: Vec<String> = if chars.is_empty() {
            vec![String::new()]
        } else {
            chars.chunks(width).map(|piece| piece.iter().collect()).collect()
        };
        all.extend(pieces.into_iter().rev());
        if all.len() >= rows {
            break;
        }
    }
    all.truncate(rows);
    all.reverse();
    all
}

fn draw_log(frame: &mut Frame, area: Rect, seen: &Seen) {
    let lines: Vec<_> = seen
        .log
        .iter()
        .map(|line| {
            let step = line.step.map_or(String::new(), |step| format!("step {step} · "));
            Line::raw(format!("{:>5}  {step}{}", line.seq, line.words.replace(['\n', '\r', '\t'], " ")))
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title("What happened")), area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_shows_its_end() {
        assert_eq!(last_rows("one\ntwo\nthree", 10, 2), ["two", "three"]);
        assert_eq!(last_rows("abcdefgh", 3, 2), ["def", "gh"]);
        assert_eq!(last_rows("a\n\nb\u{1b}[2J", 10, 5), ["a", "", "b [2J"]);
        assert_eq!(last_rows("", 10, 5), Vec::<String>::new());
    }
}
