//! The local model: from a GGUF file and a prompt to tokens. Pure inference; it knows no agents, no files to write,
//! no network (pulling models aside).

pub mod arch;
pub mod chat_template;
pub mod embed;
pub mod engine;
pub mod error;
pub mod gguf;
mod kernels;
pub mod kv;
pub mod models;
pub mod tokenizer;
mod weights;

pub use engine::{
    Engine, EngineOptions, Finish, GenerateRequest, Generation, ModelMeta, Progress, REPLIES_MAX, Sampling,
    SharedEngine, check_device,
};
pub use error::Error;
pub use kernels::instruction_set;
