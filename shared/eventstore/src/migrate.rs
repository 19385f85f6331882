//! Brings a database to the schema this program was built with.

/// The schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The server did not let us in.
    #[error("signing in to the database")]
    Connect(#[source] sqlx::Error),
    /// A migration did not run.
    #[error("bringing the schema up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
}

/// Applies every migration that is missing. `url` names a role that may create roles and schemas.
pub async fn migrate(url: &str) -> Result<usize, MigrateError> {
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .connect(url)
        .await
        .map_err(MigrateError::Connect)?;
    let migrator = sqlx::migrate!("../../migrations");
    migrator.run(&pool).await.map_err(MigrateError::Migrate)?;
    pool.close().await;
    Ok(migrator.iter().count())
}
