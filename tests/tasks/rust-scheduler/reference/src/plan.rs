use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
struct Task {
    duration: u64,
    after: Vec<String>,
}

#[derive(Debug)]
pub struct Plan {
    tasks: BTreeMap<String, Task>,
}

impl Plan {
    pub fn parse(text: &str) -> Result<Plan, String> {
        let mut tasks = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.is_empty() || line.starts_with('#') {
                continue;
            }
            let duration = match words.get(1).and_then(|word| word.parse().ok()) {
                Some(duration) if duration > 0 => duration,
                _ => return Err(format!("line {}: bad duration", index + 1)),
            };
            let after = match words.get(2) {
                None => Vec::new(),
                Some(&"after") => words[3..].iter().map(|word| word.to_string()).collect(),
                Some(_) => return Err(format!("line {}: expected 'after'", index + 1)),
            };
            let name = words[0].to_string();
            if tasks.insert(name, Task { duration, after }).is_some() {
                return Err(format!("duplicate task: {}", words[0]));
            }
        }
        for name in tasks.values().flat_map(|task| &task.after) {
            if !tasks.contains_key(name) {
                return Err(format!("unknown task: {name}"));
            }
        }
        Ok(Plan { tasks })
    }

    /// The tasks that are not done and depend only on tasks that are done.
    pub fn ready(&self, done: &BTreeSet<String>) -> Vec<String> {
        let is_ready = |(name, task): &(&String, &Task)| {
            !done.contains(*name) && task.after.iter().all(|dependency| done.contains(dependency))
        };
        self.tasks.iter().filter(is_ready).map(|(name, _)| name.clone()).collect()
    }

    pub fn users(&self, name: &str) -> Vec<String> {
        let uses = |task: &Task| task.after.iter().any(|dependency| dependency == name);
        self.tasks.iter().filter(|(_, task)| uses(task)).map(|(name, _)| name.clone()).collect()
    }

    pub fn order(&self) -> Result<Vec<String>, String> {
        let mut done = BTreeSet::new();
        let mut order = Vec::new();
        while order.len() < self.tasks.len() {
            let next = self.ready(&done).into_iter().next().ok_or("cycle")?;
            done.insert(next.clone());
            order.push(next);
        }
        Ok(order)
    }

    /// Name, start and end of every task, by start and then by name.
    pub fn times(&self) -> Result<Vec<(String, u64, u64)>, String> {
        let mut ends: BTreeMap<String, u64> = BTreeMap::new();
        let mut times = Vec::new();
        for name in self.order()? {
            let task = &self.tasks[&name];
            let start = task.after.iter().map(|dependency| ends[dependency]).max().unwrap_or(0);
            ends.insert(name.clone(), start + task.duration);
            times.push((name, start, start + task.duration));
        }
        times.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        Ok(times)
    }

    pub fn total(&self) -> Result<u64, String> {
        Ok(self.times()?.iter().map(|(_, _, end)| *end).max().unwrap_or(0))
    }

    pub fn critical(&self) -> Result<Vec<String>, String> {
        let times = self.times()?;
        let mut chain = Vec::new();
        let Some(mut current) = times.iter().max_by_key(|(_, _, end)| *end) else { return Ok(chain) };
        loop {
            chain.push(current.0.clone());
            let after = &self.tasks[&current.0].after;
            match times.iter().find(|(name, _, end)| after.contains(name) && *end == current.1) {
                Some(previous) => current = previous,
                None => break,
            }
        }
        chain.reverse();
        Ok(chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "fetch 2\nconfigure 1 after fetch\nbuild 5 after configure\ndocs 3 after fetch\npackage 1 after build docs\n";

    #[test]
    fn order_takes_the_first_ready_task() {
        let plan = Plan::parse("z 1\nb 1 after z\nm 1\na 1 after m\n").unwrap();
        assert_eq!(plan.order().unwrap(), ["m", "a", "z", "b"]);
    }

    #[test]
    fn total_and_critical() {
        let plan = Plan::parse(PLAN).unwrap();
        assert_eq!(plan.total(), Ok(9));
        assert_eq!(plan.critical().unwrap(), ["fetch", "configure", "build", "package"]);
    }

    #[test]
    fn cycle() {
        let plan = Plan::parse("a 1 after b\nb 1 after a\n").unwrap();
        assert_eq!(plan.order(), Err("cycle".to_string()));
    }

    #[test]
    fn errors_in_the_plan() {
        assert_eq!(Plan::parse("a 1\na 2\n").unwrap_err(), "duplicate task: a");
        assert_eq!(Plan::parse("a 1 after b\n").unwrap_err(), "unknown task: b");
        assert_eq!(Plan::parse("\na 0\n").unwrap_err(), "line 2: bad duration");
    }
}
