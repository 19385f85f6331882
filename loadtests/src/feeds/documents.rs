//! Documents made for the bench, of the shape and size of real ones.

use anyhow::Result;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use zip::write::SimpleFileOptions;

/// Vulnerabilities of a month.
const VULNERABILITIES: usize = 150;
/// Fixes of a vulnerability, each for a product of its own.
const FIXES: usize = 40;
/// KBs of a month.
const KBS: usize = 60;
/// Rows about one KB.
const ROWS_PER_KB: usize = 100;

/// Microsoft's month as CVRF.
pub(super) fn month() -> Vec<u8> {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<cvrf:cvrfdoc xmlns:vuln=\"http://www.icasi.org/CVRF/schema/vuln/1.1\" xmlns:prod=\"http://www.icasi.org/CVRF/schema/prod/1.1\" xmlns:cvrf=\"http://www.icasi.org/CVRF/schema/cvrf/1.1\"><cvrf:DocumentTitle>May 2031 Security Updates</cvrf:DocumentTitle><cvrf:DocumentPublisher Type=\"Vendor\"><cvrf:ContactDetails>secure@microsoft.com</cvrf:ContactDetails></cvrf:DocumentPublisher><cvrf:DocumentTracking><cvrf:Identification><cvrf:ID>2031-May</cvrf:ID></cvrf:Identification><cvrf:InitialReleaseDate>2031-05-13T07:00:00</cvrf:InitialReleaseDate><cvrf:CurrentReleaseDate>2031-05-14T07:00:00</cvrf:CurrentReleaseDate></cvrf:DocumentTracking><prod:ProductTree>",
    );
    for product in 0..FIXES {
        let _ = write!(
            text,
            "<prod:FullProductName ProductID=\"{}\">Windows Server {} Edition {product}</prod:FullProductName>",
            12_000 + product,
            2_016 + product % 10
        );
    }
    text.push_str("</prod:ProductTree>");
    for number in 0..VULNERABILITIES {
        vulnerability(&mut text, number);
    }
    text.push_str("</cvrf:cvrfdoc>\n");
    text.into_bytes()
}

fn vulnerability(text: &mut String, number: usize) {
    let severity = ["Critical", "Important", "Moderate", "Low"][number % 4];
    let _ = write!(
        text,
        "<vuln:Vulnerability Ordinal=\"{number}\"><vuln:Title>A vulnerability</vuln:Title><vuln:Notes><vuln:Note Title=\"Description\" Type=\"Description\" Ordinal=\"0\">{}</vuln:Note></vuln:Notes><vuln:CVE>CVE-2031-{}</vuln:CVE><vuln:Threats>",
        "Nobody reads this. ".repeat(40),
        20_000 + number
    );
    for product in 0..FIXES {
        let _ = write!(
            text,
            "<vuln:Threat Type=\"Severity\"><vuln:Description>{severity}</vuln:Description><vuln:ProductID>{}</vuln:ProductID></vuln:Threat>",
            12_000 + product
        );
    }
    text.push_str("</vuln:Threats><vuln:Remediations>");
    for product in 0..FIXES {
        let kb = 5_100_000 + (number + product) % KBS;
        let _ = write!(
            text,
            "<vuln:Remediation Type=\"Vendor Fix\"><vuln:Description>{kb}</vuln:Description><vuln:URL>https://catalog.update.microsoft.com/v7/site/Search.aspx?q=KB{kb}</vuln:URL><vuln:Supercedence>{}</vuln:Supercedence><vuln:RestartRequired>Yes</vuln:RestartRequired><vuln:SubType>Security Update</vuln:SubType><vuln:FixedBuild>10.0.{}.{number}</vuln:FixedBuild><vuln:ProductID>{}</vuln:ProductID></vuln:Remediation>",
            kb - 1_000,
            14_393 + product,
            12_000 + product
        );
    }
    text.push_str("</vuln:Remediations></vuln:Vulnerability>");
}

/// A database of Windows fixes with so many rows, zipped.
pub(super) fn fixes(rows: usize) -> Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("CVEs_20310514.csv", SimpleFileOptions::default())?;
    archive.write_all(b"\"DatePosted\",\"CVE\",\"BulletinKB\",\"Title\",\"AffectedProduct\",\"AffectedComponent\",\"Severity\",\"Impact\",\"Supersedes\",\"Exploits\"\r\n")?;
    let mut line = String::new();
    for row in 0..rows {
        let (kb, within) = (row / ROWS_PER_KB, row % ROWS_PER_KB);
        line.clear();
        let _ = write!(
            line,
            "\"20{:02}{:02}{:02}\",\"CVE-20{:02}-{}\",\"{}\",\"A security update\",\"Windows Server {} for x64-based Systems\",\"\",\"{}\",\"Remote Code Execution\",\"{}\",\r\n",
            10 + kb % 15,
            1 + kb % 12,
            1 + kb % 28,
            10 + kb % 15,
            10_000 + kb % 400 * 20 + within / 5,
            4_000_000 + kb,
            2_008 + within % 20,
            ["Critical", "Important", "Moderate", ""][within % 4],
            3_999_000 + kb,
        );
        archive.write_all(line.as_bytes())?;
    }
    Ok(archive.finish()?.into_inner())
}
