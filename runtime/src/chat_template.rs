//! Rendering a conversation with the template that the model brings.

use crate::error::Error;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value, context};

/// What is used when a model brings no template.
const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// One message as templates see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
}

/// A compiled chat template.
#[derive(Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    begin: String,
    end: String,
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Template(error.to_string())
}

impl ChatTemplate {
    /// Compiles `source`, or ChatML when there is none. `begin` and `end` are the texts of the model's tokens.
    pub fn new(source: Option<&str>, begin: &str, end: &str) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(other)?;
        environment.set_syntax(syntax);
        environment.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_template_owned("chat", source.unwrap_or(CHATML).to_owned()).map_err(other)?;
        Ok(Self { environment, begin: begin.to_owned(), end: end.to_owned() })
    }

    /// The conversation as the model was trained to read it.
    pub fn render(&self, messages: &[ChatMessage], add_generation_prompt: bool) -> Result<String, Error> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|m| Value::from_pairs([("role", m.role.as_str()), ("content", m.content.as_str())]))
            .collect();
        self.environment
            .get_template("chat")
            .map_err(other)?
            .render(context! { messages, add_generation_prompt, bos_token => self.begin.as_str(), eos_token => self.end.as_str() })
            .map_err(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(source: Option<&str>) -> Result<String, Error> {
        let say = |role: &str, content: &str| ChatMessage { role: role.into(), content: content.into() };
        ChatTemplate::new(source, "<s>", "</s>")?
            .render(&[say("system", "Be brief."), say("user", "Hi ")], true)
    }

    #[test]
    fn chatml_when_there_is_none() {
        let expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi <|im_end|>\n<|im_start|>assistant\n";
        assert_eq!(chat(None).unwrap(), expected);
    }

    #[test]
    fn python_methods_and_refusals() {
        assert_eq!(chat(Some("{{ messages[1]['content'].strip() }}{{ bos_token }}")).unwrap(), "Hi<s>");
        let error = chat(Some("{{ raise_exception('no system') }}")).unwrap_err().to_string();
        assert!(error.contains("no system"), "{error}");
        assert!(chat(Some("{% if %}")).is_err());
    }
}
