//! `POST /v1/embeddings`.
//!
//! A text that is longer than the model reads counts by its beginning, as with the model's own library; the usage says
//! how many tokens were read.

use std::sync::Arc;

use async_openai::types::embeddings::{
    Base64Embedding, Base64EmbeddingVector, CreateBase64EmbeddingResponse, CreateEmbeddingRequest,
    CreateEmbeddingResponse, Embedding, EmbeddingInput, EmbeddingUsage, EncodingFormat,
};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use edvac_orchestrator::meaning;
use edvac_runtime::embed::SentenceEmbedder;

use super::{json, typed};
use crate::app::App;
use crate::refusal::Refusal;

/// Most texts of a request, as with OpenAI.
const TEXTS_MAX: usize = 2048;
/// Texts computed between two looks at whether the client is still there.
const BATCH: usize = 16;
/// The object that OpenAI calls a vector.
const OBJECT: &str = "embedding";

/// Vectors with what they cost.
pub struct Embedded {
    /// One a text, in order.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that were read.
    pub tokens: usize,
}

/// Makes vectors of texts. Blocks; called where that is allowed.
pub trait Embeddings: Send + Sync {
    /// The model's name.
    fn model(&self) -> &str;
    /// Length of its vectors.
    fn dims(&self) -> usize;
    /// The vectors, or why there are none.
    fn embed(&self, texts: &[&str]) -> Result<Embedded, String>;
}

impl Embeddings for SentenceEmbedder {
    fn model(&self) -> &str {
        meaning::MODEL
    }

    fn dims(&self) -> usize {
        Self::dims(self)
    }

    fn embed(&self, texts: &[&str]) -> Result<Embedded, String> {
        let vectors = Self::embed(self, texts).map_err(|e| e.to_string())?;
        let tokens = self.count_tokens(texts).map_err(|e| e.to_string())?;
        Ok(Embedded { vectors, tokens })
    }
}

pub(crate) async fn embeddings(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let request: CreateEmbeddingRequest = typed(json(body)?)?;
    let Some(model) = app.embeddings.clone().filter(|m| m.model() == request.model) else {
        let served = match &app.embeddings {
            Some(model) => model.model().to_owned(),
            None => format!("no embedding model (`edvac models pull {}` fetches one)", meaning::MODEL),
        };
        return Err(Refusal::model(&request.model, &served));
    };
    if request.dimensions.is_some_and(|dims| dims as usize != model.dims()) {
        let message = format!("This model's vectors have {} dimensions, no other number.", model.dims());
        return Err(Refusal::unsupported("dimensions", message));
    }
    let texts = texts(request.input)?;
    let done = embed(&app, &model, texts).await?;
    app.metrics.embedded(done.tokens);
    Ok(answer(request.model, done, &request.encoding_format.unwrap_or_default()))
}

fn texts(input: EmbeddingInput) -> Result<Vec<String>, Refusal> {
    let texts = match input {
        EmbeddingInput::String(text) => vec![text],
        EmbeddingInput::StringArray(texts) => texts,
        EmbeddingInput::IntegerArray(_) | EmbeddingInput::ArrayOfIntegerArray(_) => {
            return Err(Refusal::unsupported(
                "input",
                "Token ids belong to another model's tokenizer; send texts.",
            ));
        }
    };
    if texts.is_empty() || texts.len() > TEXTS_MAX {
        let message = format!("input has {} texts; 1 to {TEXTS_MAX} are taken at once.", texts.len());
        return Err(Refusal::value("input", message));
    }
    match texts.iter().position(String::is_empty) {
        Some(n) => Err(Refusal::value(format!("input[{n}]"), "An empty text has no vector.")),
        None => Ok(texts),
    }
}

async fn embed(app: &App, model: &Arc<dyn Embeddings>, texts: Vec<String>) -> Result<Embedded, Refusal> {
    let mut turn = app.vectors.turn().await?;
    let mut all = Embedded { vectors: Vec::with_capacity(texts.len()), tokens: 0 };
    let mut texts = texts.into_iter().peekable();
    while texts.peek().is_some() {
        let batch: Vec<String> = texts.by_ref().take(BATCH).collect();
        let model = Arc::clone(model);
        // The turn goes with the work: a client that leaves does not let the next one in beside it.
        let work = tokio::task::spawn_blocking(move || {
            let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
            (model.embed(&batch), turn)
        });
        let (done, still) = work.await.map_err(|e| Refusal::internal(e.to_string()))?;
        let done = done.map_err(Refusal::internal)?;
        turn = still;
        all.vectors.extend(done.vectors);
        all.tokens += done.tokens;
    }
    Ok(all)
}

fn answer(model: String, done: Embedded, format: &EncodingFormat) -> Response {
    let tokens = done.tokens as u32;
    let usage = EmbeddingUsage { prompt_tokens: tokens, total_tokens: tokens };
    let object = "list".to_owned();
    let numbered = (0_u32..).zip(done.vectors);
    match format {
        EncodingFormat::Float => {
            let data = numbered
                .map(|(index, embedding)| Embedding { index, object: OBJECT.to_owned(), embedding })
                .collect();
            Json(CreateEmbeddingResponse { object, model, data, usage }).into_response()
        }
        EncodingFormat::Base64 => {
            let data = numbered
                .map(|(index, vector)| {
                    let bytes: Vec<u8> = vector.iter().flat_map(|v| v.to_le_bytes()).collect();
                    let embedding = Base64EmbeddingVector(STANDARD.encode(bytes));
                    Base64Embedding { index, object: OBJECT.to_owned(), embedding }
                })
                .collect();
            Json(CreateBase64EmbeddingResponse { object, model, data, usage }).into_response()
        }
    }
}

#[cfg(test)]
#[path = "embeddings_tests.rs"]
mod tests;
