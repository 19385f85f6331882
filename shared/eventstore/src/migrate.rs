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

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

/// A short name of exactly this set of migrations, for caches of migrated databases.
pub fn schema_fingerprint() -> String {
    let mut all = [0_u8; 8];
    for (number, migration) in MIGRATIONS.iter().enumerate() {
        for (place, byte) in migration.checksum.iter().enumerate() {
            all[(place + number) % 8] ^= byte.rotate_left(u32::try_from(place % 8).unwrap_or(0));
        }
    }
    format!("{:016x}", u64::from_be_bytes(all))
}

/// Applies every migration that is missing. `url` names a role that may create roles and schemas.
pub async fn migrate(url: &str) -> Result<usize, MigrateError> {
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .connect(url)
        .await
        .map_err(MigrateError::Connect)?;
    MIGRATIONS.run(&pool).await.map_err(MigrateError::Migrate)?;
    pool.close().await;
    Ok(MIGRATIONS.iter().count())
}
