//! Documents made to hurt: each is refused for the right reason, or answered.
