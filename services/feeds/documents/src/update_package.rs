//! Update packages as Azure Stack has them: `Metadata.xml` and zip files.
