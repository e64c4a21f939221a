//! Enums declared as tables: each variant is declared together with its properties, so that no
//! separate list has to be kept in step with the enum.

/// Declares an enum, a constant `ALL` with its variants, and a function `line` that returns the
/// properties of a variant.
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
            /// All variants, in the order of the table.
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
