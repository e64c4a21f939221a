//! Has Cargo rebuild the program when the migrations change: they are embedded in it.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
