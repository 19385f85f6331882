//! The use cases of packages: authorise, look up, decide and append, answer.

use super::contents::manifest_sha256;
use super::files::{self, PART_BYTES_MAX};
use super::links::{Links, Purpose};
use super::table::{self, Row};
use super::{Packages, commit, removal};
use actix_web::web::ServiceConfig;
use contracts::packages::commands as wish;
use contracts::packages::commands::{
    DownloadAddress, PackageExport, PackageReview, UploadAddress, UploadTicket,
};
use contracts::packages::{PackageContents, PackageFacts};
use contracts::{Accepted, permissions::Permission};
use eventstore::Committed;
use feeds_domain::package::{PackageCommand, PackageRefusal};
use foundation::accepted;
use kernel::{PackageId, Scope, Tenant};
use web::{ApiError, CommandContext};

/// The routes of the commands about packages.
pub(super) fn routes(packages: &Packages, routes: &mut ServiceConfig) {
    let commands = packages.foundation.commands();
    routes
        .service(commands.route(packages, register))
        .service(commands.route(packages, submit))
        .service(commands.route(packages, certify))
        .service(commands.route(packages, refuse_certification))
        .service(commands.route(packages, prepare))
        .service(commands.route(packages, start_upload))
        .service(commands.route(packages, review))
        .service(commands.route(packages, complete_upload))
        .service(commands.route(packages, export))
        .service(commands.route(packages, remove));
}

impl Packages {
    /// The package as the caller sees it; what they may not see does not exist.
    async fn seen(&self, context: &CommandContext, package_id: PackageId) -> Result<Row, ApiError> {
        let mut tx = self.begin(&context.caller.scope).await?;
        let row = table::find(&mut tx, package_id).await?;
        commit(tx).await?;
        Ok(row)
    }

    /// The same where the caller wants to change it: the platform's packages are everybody's to read only.
    async fn own(
        &self,
        context: &CommandContext,
        permission: Permission,
        package_id: PackageId,
    ) -> Result<Row, ApiError> {
        context.caller.require(permission, None)?;
        let row = self.seen(context, package_id).await?;
        if context.caller.scope.covers(row.tenant) {
            Ok(row)
        } else {
            Err(ApiError::refused(&PackageRefusal::Unknown))
        }
    }

    /// Asks a package that the caller may change, and answers with its id.
    async fn on_own(
        &self,
        context: &CommandContext,
        permission: Permission,
        package_id: PackageId,
        command: PackageCommand,
    ) -> Result<Accepted<PackageId>, ApiError> {
        let row = self.own(context, permission, package_id).await?;
        let committed = self.execute(package_id, row.tenant, &context.cause, command).await?;
        Ok(accepted(package_id, committed))
    }

    /// Makes a package of the caller's known.
    async fn announce(
        &self,
        context: &CommandContext,
        command: PackageCommand,
    ) -> Result<Accepted<PackageId>, ApiError> {
        context.caller.require(Permission::ManagePackages, None)?;
        let tenant = context.caller.scope.partner_id().map_or(Tenant::PLATFORM, Tenant::partner);
        let package_id = PackageId::derived(context.cause.command_id.0, "package");
        let committed = self.execute(package_id, tenant, &context.cause, command).await?;
        Ok(accepted(package_id, committed))
    }
}

/// An answer to a command that only looks.
fn looked<A>(answer: A) -> Accepted<A> {
    accepted(answer, Committed { version: 0, pos: None, repeated: false })
}

async fn register(
    packages: Packages,
    context: CommandContext,
    wish::RegisterPackage { package }: wish::RegisterPackage,
) -> Result<Accepted<PackageId>, ApiError> {
    let plain_http = packages.plain_http;
    packages.announce(&context, PackageCommand::Register { package: tidy(package), plain_http }).await
}

async fn submit(
    packages: Packages,
    context: CommandContext,
    wish::SubmitOemPackage { package }: wish::SubmitOemPackage,
) -> Result<Accepted<PackageId>, ApiError> {
    let (by, plain_http) = (context.caller.user_id, packages.plain_http);
    packages.announce(&context, PackageCommand::Submit { package: tidy(package), by, plain_http }).await
}

/// Without spaces around names, by which packages are found.
fn tidy(package: PackageFacts) -> PackageFacts {
    let trimmed = |text: &str| text.trim().to_owned();
    PackageFacts {
        vendor: trimmed(&package.vendor),
        product: trimmed(&package.product),
        name: trimmed(&package.name),
        version: trimmed(&package.version),
        ..package
    }
}

async fn certify(
    packages: Packages,
    context: CommandContext,
    wish::CertifyOemPackage { package_id, manifest_sha256 }: wish::CertifyOemPackage,
) -> Result<Accepted<PackageId>, ApiError> {
    let certify = PackageCommand::Certify { by: context.caller.user_id, manifest_sha256 };
    packages.on_own(&context, Permission::CertifyPackages, package_id, certify).await
}

async fn refuse_certification(
    packages: Packages,
    context: CommandContext,
    wish::RefuseCertification { package_id, reason }: wish::RefuseCertification,
) -> Result<Accepted<PackageId>, ApiError> {
    let refuse = PackageCommand::RefuseCertification { by: context.caller.user_id, reason };
    packages.on_own(&context, Permission::CertifyPackages, package_id, refuse).await
}

async fn prepare(
    packages: Packages,
    context: CommandContext,
    wish::PreparePackage { package_id, connectivity }: wish::PreparePackage,
) -> Result<Accepted<PackageId>, ApiError> {
    let start = PackageCommand::StartDownload { connectivity };
    packages.on_own(&context, Permission::ManagePackages, package_id, start).await
}

async fn start_upload(
    packages: Packages,
    context: CommandContext,
    wish::StartPackageUpload { package_id, files }: wish::StartPackageUpload,
) -> Result<Accepted<UploadTicket>, ApiError> {
    let row = packages.own(&context, Permission::ManagePackages, package_id).await?;
    let mut tx = packages.begin(&Scope::partner_of(row.tenant)).await?;
    let start = PackageCommand::StartUpload { files: files.clone() };
    let committed = packages.execute_in(&mut tx, package_id, row.tenant, &context.cause, start).await?;
    // A repeated command must not bring back what another one announced since.
    if !committed.repeated {
        files::announce(&mut tx, package_id, row.tenant, &files).await?;
    }
    let known = files::of_package(&mut tx, package_id).await?;
    commit(tx).await?;
    let expires_at = Links::expiry(packages.foundation.clock.now());
    let files = known.iter().map(|file| {
        let size = file.size().unwrap_or_default();
        let url = packages.links.address(Purpose::Upload, package_id, &file.name, size, expires_at);
        UploadAddress { name: file.name.clone(), url, received: file.received() }
    });
    let part_bytes_max = PART_BYTES_MAX as u64;
    let ticket = UploadTicket { package_id, files: files.collect(), part_bytes_max, expires_at };
    Ok(accepted(ticket, committed))
}

async fn review(
    packages: Packages,
    context: CommandContext,
    wish::ReviewPackage { package_id }: wish::ReviewPackage,
) -> Result<Accepted<PackageReview>, ApiError> {
    let row = packages.own(&context, Permission::ManagePackages, package_id).await?;
    Ok(looked(packages.read_contents(package_id, &row.package.product).await?))
}

async fn complete_upload(
    packages: Packages,
    context: CommandContext,
    wish::CompletePackageUpload { package_id, manifest_sha256: shown_sha256 }: wish::CompletePackageUpload,
) -> Result<Accepted<PackageId>, ApiError> {
    packages.own(&context, Permission::ManagePackages, package_id).await?;
    let files = packages.whole_files(package_id).await?;
    let manifest_sha256 = manifest_sha256(&files);
    let complete = PackageCommand::CompleteUpload { files, manifest_sha256, shown_sha256 };
    packages.on_own(&context, Permission::ManagePackages, package_id, complete).await
}

async fn export(
    packages: Packages,
    context: CommandContext,
    wish::ExportPackage { package_id }: wish::ExportPackage,
) -> Result<Accepted<PackageExport>, ApiError> {
    context.caller.require_anywhere(Permission::ReadCatalogue)?;
    let row = packages.seen(&context, package_id).await?;
    let ("READY", Some(PackageContents { files: contents, .. })) = (row.state.as_str(), row.contents) else {
        let message = format!("the package is {}, and only one that is READY can be carried away", row.state);
        let status = actix_web::http::StatusCode::UNPROCESSABLE_ENTITY;
        return Err(ApiError::new(status, "feeds.package_not_ready", message));
    };
    let expires_at = Links::expiry(packages.foundation.clock.now());
    let files = contents.into_iter().map(|file| {
        let url =
            packages.links.address(Purpose::Download, package_id, &file.name, file.size_bytes, expires_at);
        DownloadAddress { file, url }
    });
    Ok(looked(PackageExport { files: files.collect(), expires_at }))
}

async fn remove(
    packages: Packages,
    context: CommandContext,
    wish::RemovePackage { package_id }: wish::RemovePackage,
) -> Result<Accepted<PackageId>, ApiError> {
    packages.own(&context, Permission::ManagePackages, package_id).await?;
    let mut tx = packages.begin(&Scope::Platform).await?;
    let need = removal::need(&mut tx, package_id).await?;
    commit(tx).await?;
    let remove = PackageCommand::Remove { outstanding: need.outstanding(), installed: need.installed() };
    packages.on_own(&context, Permission::ManagePackages, package_id, remove).await
}
