//! What a tool answered, as text.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

/// Bytes of an answer that are kept. Of what a model is told, its window leaves less.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Stands for what a later version of the protocol brings.
const UNKNOWN: &str = "(something of a kind that is not known, not shown)";

/// What a tool answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolAnswer {
    /// Its text; what is no text is named in its place.
    pub text: String,
    /// Whether it did not do what was asked, or was not reached.
    pub failed: bool,
}

impl ToolAnswer {
    /// Something went wrong.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { text: text.into(), failed: true }
    }
}

impl From<CallToolResult> for ToolAnswer {
    fn from(result: CallToolResult) -> Self {
        let mut parts: Vec<_> = result.content.iter().map(text_of).collect();
        // By the protocol the same stands in the text; where it does not, the value is all there is.
        if let (true, Some(value)) = (parts.is_empty(), &result.structured_content) {
            parts.push(value.to_string());
        }
        let mut text = parts.join("\n");
        if text.len() > TEXT_BYTES_MAX {
            let all = text.len();
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
            text.push_str(&format!("\n(cut here; the answer has {all} bytes)"));
        }
        Self { text, failed: result.is_error == Some(true) }
    }
}

fn text_of(block: &ContentBlock) -> String {
    let bytes = |base64: &str| base64.len() / 4 * 3;
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => {
            format!("({}, {} bytes, not shown)", image.mime_type, bytes(&image.data))
        }
        ContentBlock::Audio(audio) => {
            format!("({}, {} bytes, not shown)", audio.mime_type, bytes(&audio.data))
        }
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => format!("{uri}:\n{text}"),
            ResourceContents::BlobResourceContents { uri, blob, .. } => {
                format!("({uri}, {} bytes, not shown)", bytes(blob))
            }
            _ => UNKNOWN.to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("({}, not shown)", link.uri),
        _ => UNKNOWN.to_owned(),
    }
}
