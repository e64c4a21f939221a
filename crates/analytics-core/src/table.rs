//! Enums that are tables: each variant with its line, so that no list can be kept apart from the enum.

/// Declares an enum, a constant `ALL` with its variants, and a function `line` that gives each its line.
macro_rules! table {
    (
        $(#[$about:meta])*
        pub enum $name:ident: $line:ty {
            $($(#[$doc:meta])* $variant:ident = $value:expr;)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// All of them, in the order of the table.
            pub const ALL: [Self; [$(Self::$variant),*].len()] = [$(Self::$variant),*];

            const fn line(self) -> $line {
                match self {
                    $(Self::$variant => $value,)*
                }
            }
        }
    };
}

pub(crate) use table;
