//! Tokens, made on the server beside a running service: whoever may write its data folder may make them.

use jiff::Timestamp;
use secrecy::SecretString;
use windlass_core::api::TokenView;
use windlass_core::config::ServerConfig;

use crate::serve::open_beside;
use crate::{ServeError, TokenRequest};

/// What tokens begin with, so that scanners for leaked secrets know them.
const PREFIX: &str = "wnd_";

/// Makes a token. Its value is given once and never kept.
///
/// # Errors
///
/// When the store cannot be opened or written.
pub async fn create(config: &ServerConfig, request: &TokenRequest) -> Result<(SecretString, TokenView), ServeError> {
    let (store, _folder) = open_beside(&config.data).await?;
    let token = format!("{PREFIX}{}", hex::encode(rand::random::<[u8; 32]>()));
    let view = store.create_token(&token, request, Timestamp::now()).await?;
    store.close().await;
    Ok((token.into(), view))
}

/// All tokens.
///
/// # Errors
///
/// When the store cannot be opened or read.
pub async fn list(config: &ServerConfig) -> Result<Vec<TokenView>, ServeError> {
    let (store, _folder) = open_beside(&config.data).await?;
    let tokens = store.tokens().await?;
    store.close().await;
    Ok(tokens)
}

/// Ends a token from this moment on. `false`: there is none of that number, or it was ended before.
///
/// # Errors
///
/// When the store cannot be opened or written.
pub async fn revoke(config: &ServerConfig, id: i64) -> Result<bool, ServeError> {
    let (store, _folder) = open_beside(&config.data).await?;
    let revoked = store.revoke_token(id, Timestamp::now()).await?;
    store.close().await;
    Ok(revoked)
}
