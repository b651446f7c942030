//! A run that begins on the page: which models it asks, and which repository it works on. What a form leaves empty is the
//! configuration's, and keys are the environment's alone: no form takes or shows one.

use std::path::PathBuf;

use axum::http::Uri;
use edvac_orchestrator::config::{Config, MINUTE_MS, ModelConfig};
use edvac_orchestrator::existing::Existing;
use edvac_runtime::models;
use serde::Serialize;
use utoipa::ToSchema;

use super::trouble::Trouble;

/// Providers that a form can name. The others answer from files of the server's machine, for tests.
const PROVIDERS: [&str; 2] = ["local", "openai"];

/// What the form of a new run shows where nothing is written yet.
#[derive(Serialize, ToSchema)]
pub(super) struct FormView {
    /// The configuration's model.
    model: String,
    /// How it is reached: `local` or `openai`.
    provider: String,
    /// Where; empty for a model of this machine.
    base_url: String,
    /// The model that is asked where that one comes to nothing.
    #[schema(required)]
    second_model: Option<String>,
    /// Models of this machine that can be named.
    models: Vec<String>,
    /// Tokens that it may use; none is no limit, as with the other bounds.
    #[schema(required)]
    max_tokens: Option<u64>,
    /// Minutes that it may work.
    #[schema(required)]
    max_minutes: Option<u64>,
    /// Replies of models.
    #[schema(required)]
    max_calls: Option<u64>,
    /// What it may cost, in the currency of its model.
    #[schema(required)]
    max_cost: Option<String>,
    /// Steps at the same time.
    parallel: u32,
    /// How often what is left is planned again.
    replans: u32,
}

/// The form over a configuration.
pub(super) fn view(config: &Config) -> FormView {
    let limits = config.limits.limits();
    let dir = config.models_dir().ok();
    let is_here = |model: &&models::ModelSpec| dir.as_ref().is_some_and(|dir| models::is_here(model, dir));
    let known = models::manifest().iter().filter(|model| model.generates()).filter(is_here);
    FormView {
        model: config.model.name.clone(),
        provider: config.model.provider.clone(),
        base_url: config.model.base_url.clone(),
        second_model: config.second_model.as_ref().map(|second| second.name.clone()),
        models: known.map(|model| model.name.clone()).collect(),
        max_tokens: limits.tokens_max,
        max_minutes: limits.wall_ms_max.map(|ms| ms / MINUTE_MS),
        max_calls: limits.calls_max,
        max_cost: limits.cost_micros_max.map(|_| config.limits.cost_max.to_string()),
        parallel: limits.parallel,
        replans: limits.replans_max,
    }
}

/// A model as a form names it, and the names of the form's fields.
pub(super) struct Wanted<'a> {
    pub name: Option<&'a str>,
    pub base_url: Option<&'a str>,
    pub provider: Option<&'a str>,
    /// The fields of the address and the provider.
    pub fields: [&'static str; 2],
}

impl Wanted<'_> {
    fn is_empty(&self) -> bool {
        [self.name, self.base_url, self.provider].iter().flatten().all(|text| text.trim().is_empty())
    }

    /// The model, as the flags of the command mean it: an address alone means an endpoint.
    fn over(&self, mut model: ModelConfig, config: &Config) -> Result<ModelConfig, Trouble> {
        let said =
            |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let [url_field, provider_field] = self.fields;
        if let Some(name) = said(self.name) {
            model.name = name;
        }
        if let Some(url) = said(self.base_url) {
            if !is_endpoint(&url) {
                let why = format!("{url:?} is no endpoint. Write one like http://127.0.0.1:8080/v1.");
                return Err(Trouble::bad(why).at(url_field));
            }
            "openai".clone_into(&mut model.provider);
            // Whoever may begin a run is not told a key by letting it be sent to a place of their own.
            if !is_configured(&url, config) {
                model.api_key_env = String::new();
            }
            model.base_url = url;
        }
        if let Some(provider) = said(self.provider) {
            if provider != model.provider && !PROVIDERS.contains(&provider.as_str()) {
                let why = format!("{provider:?} is no provider here. Use {}.", PROVIDERS.join(" or "));
                return Err(Trouble::bad(why).at(provider_field));
            }
            model.provider = provider;
        }
        if model.provider == "openai" && model.base_url.is_empty() {
            let why = "An endpoint needs its address. Write one like http://127.0.0.1:8080/v1.";
            return Err(Trouble::bad(why).at(url_field));
        }
        Ok(model)
    }
}

/// The configuration with the models that a form names in place of its own.
pub(super) fn with_models(config: &Config, own: &Wanted, second: &Wanted) -> Result<Config, Trouble> {
    let second_model = if second.is_empty() {
        config.second_model.clone()
    } else {
        Some(second.over(config.second_model.clone().unwrap_or_default(), config)?)
    };
    Ok(Config { model: own.over(config.model.clone(), config)?, second_model, ..config.clone() })
}

/// The repository that a form names. A path is whole: nobody at a page knows where the server was started.
pub(super) fn existing(path: Option<&str>, include_changes: bool) -> Result<Option<Existing>, Trouble> {
    let Some(path) = path.map(str::trim).filter(|path| !path.is_empty()) else { return Ok(None) };
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        let why =
            format!("{} is no whole path. Write it from the root on, like /home/me/project.", path.display());
        return Err(Trouble::bad(why).at("in"));
    }
    Ok(Some(Existing { path, include_changes }))
}

fn is_endpoint(url: &str) -> bool {
    origin(url).is_some_and(|(scheme, _)| scheme == "http" || scheme == "https")
}

/// Whether an address is at an endpoint that the configuration, or the server's command line, names.
fn is_configured(url: &str, config: &Config) -> bool {
    let models = [Some(&config.model), config.second_model.as_ref()];
    models.into_iter().flatten().any(|model| origin(url).is_some() && origin(&model.base_url) == origin(url))
}

fn origin(url: &str) -> Option<(String, String)> {
    let uri: Uri = url.parse().ok()?;
    Some((uri.scheme_str()?.to_owned(), uri.authority()?.as_str().to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 2] = ["base_url", "provider"];

    fn wanted<'a>(name: &'a str, base_url: &'a str, provider: &'a str) -> Wanted<'a> {
        Wanted { name: Some(name), base_url: Some(base_url), provider: Some(provider), fields: FIELDS }
    }

    fn config() -> Config {
        let model = ModelConfig {
            provider: "openai".into(),
            name: "big".into(),
            base_url: "https://models.example/v1".into(),
            ..ModelConfig::default()
        };
        Config { model, ..Config::default() }
    }

    fn own(name: &str, base_url: &str, provider: &str) -> Result<ModelConfig, Trouble> {
        let nothing = wanted("", "", "");
        with_models(&config(), &wanted(name, base_url, provider), &nothing).map(|config| config.model)
    }

    #[test]
    fn what_is_empty_is_the_configurations() {
        assert_eq!(own("", " ", "").unwrap(), config().model);
        let other = own("small", "", "").unwrap();
        assert_eq!((other.name.as_str(), other.base_url), ("small", config().model.base_url));
        assert_eq!(own("qwen", "", "local").unwrap().provider, "local");
    }

    #[test]
    fn a_key_goes_nowhere_but_where_the_configuration_sends_it() {
        assert_eq!(own("", "https://models.example/v2", "").unwrap().api_key_env, "OPENAI_API_KEY");
        for url in [
            "http://models.example/v1",
            "https://models.example:8443/v1",
            "https://evil.example/v1",
            "https://models.example@evil.example/v1",
            "https://me@models.example/v1",
            "https://models.example.evil.example/v1",
        ] {
            assert_eq!(own("", url, "").unwrap().api_key_env, "", "{url}");
        }
    }

    #[test]
    fn what_no_run_can_use_is_said_at_its_field() {
        for (model, field) in [
            (own("", "models.example", ""), "base_url"),
            (own("", "file:///etc/passwd", ""), "base_url"),
            (own("", "", "scripted:/etc/passwd"), "provider"),
            (own("", "", "recorded:x"), "provider"),
        ] {
            assert_eq!(model.unwrap_err().field, Some(field));
        }
        let local = Config::default();
        let nothing = wanted("", "", "");
        let refused = with_models(&local, &wanted("x", "", "openai"), &nothing).unwrap_err();
        assert_eq!(refused.field, Some("base_url"));
    }

    #[test]
    fn a_path_is_whole() {
        assert_eq!(existing(Some(" "), false).unwrap(), None);
        assert_eq!(existing(Some("../x"), false).unwrap_err().field, Some("in"));
        assert_eq!(existing(Some("/x"), true).unwrap().unwrap().path, PathBuf::from("/x"));
    }
}
