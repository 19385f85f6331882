//! The rules of scheduling: scan jobs, deployments, runs and device jobs, and the planner that says who takes part and why not.

pub mod deployment;
pub mod device_job;
pub mod planner;
pub mod run;
pub mod scan_job;

mod reason;
