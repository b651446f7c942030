use serde_json::json;

use super::*;

fn load(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Templates, TemplateError>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let loaded = Templates::load(Some(dir.path()));
    (dir, loaded)
}

fn why<T>(result: Result<T, TemplateError>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_file_of_yours_wins() {
    let (_dir, loaded) =
        load(&[("prompts/worker/listing.md", "FILES\n{{ listing }}\n"), (".hidden/x.md", "{{")]);
    let templates = loaded.unwrap();
    let view = json!({ "listing": "a.py <x>" });
    assert_eq!(templates.render("prompts/worker/listing.md", &view).unwrap(), "FILES\na.py <x>");
    assert!(
        Templates::load(None)
            .unwrap()
            .render("prompts/worker/listing.md", &view)
            .unwrap()
            .starts_with("# Files")
    );
    assert!(
        templates.render("prompts/planner/task.md", &json!({ "task": "x" })).is_ok(),
        "others stay built in"
    );
}

#[test]
fn a_domain_of_yours_is_found() {
    let (_dir, loaded) =
        load(&[("domains/recipes/rules.md", "Cook."), ("domains/recipes/domain.toml", "x = 1")]);
    let templates = loaded.unwrap();
    assert_eq!(templates.render("domains/recipes/rules.md", &json!({})).unwrap(), "Cook.");
    assert_eq!(templates.text("domains/recipes/domain.toml").unwrap(), "x = 1");
    assert_eq!(templates.names("domains/recipes/").count(), 2);
    let missing = why(templates.render("domains/recipes/plan.md", &json!({})));
    assert!(missing.contains("domains/recipes/plan.md") && missing.contains("nor in"), "{missing}");
}

#[test]
fn errors_name_the_file() {
    let (dir, loaded) = load(&[("prompts/worker/task.md", "{% if %}")]);
    let path = dir.path().join("prompts/worker/task.md").display().to_string();
    let invalid = why(loaded);
    assert!(invalid.contains(&path), "{invalid}");

    let (dir, loaded) = load(&[("prompts/worker/task.md", "{{ taks }}")]);
    let path = dir.path().join("prompts/worker/task.md").display().to_string();
    let unknown = why(loaded.unwrap().render("prompts/worker/task.md", &json!({ "task": "x" })));
    assert!(unknown.contains(&path) && unknown.contains("taks"), "{unknown}");

    let nowhere = why(Templates::load(Some(Path::new("/nonexistent/templates"))));
    assert!(nowhere.contains("/nonexistent/templates"), "{nowhere}");
    let (_dir, large) = load(&[("big.md", &"x".repeat(300 << 10))]);
    assert!(why(large).contains("at most"));
}
