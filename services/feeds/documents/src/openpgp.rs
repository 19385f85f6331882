//! OpenPGP signatures of repositories.
