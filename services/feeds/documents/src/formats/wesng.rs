//! The definitions of Windows Exploit Suggester NG, a CSV in a zip file.
