//! Prints the GraphQL schema: `cargo run -p gateway --example schema > docs/schema.graphql`.

#![expect(clippy::print_stdout, reason = "printing is all it does")]

fn main() {
    print!("{}", gateway::sdl());
}
