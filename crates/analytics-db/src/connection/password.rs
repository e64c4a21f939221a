//! A password in a file, which is read again for each new connection: it can be changed in the
//! database and in the file while the process runs.

use std::borrow::Cow;
use std::fs;

use super::url::DatabaseUrl;
use crate::error::DbError;

impl DatabaseUrl {
    /// Takes the password from a file, if one is given, instead of the one in the URL. The file is read
    /// when a connection is opened.
    #[must_use]
    pub fn password_in(mut self, file: Option<&str>) -> Self {
        self.password_file = file.map(Into::into);
        self
    }

    /// Returns the URL with the password that is in the file now.
    pub(super) fn with_password(&self) -> Result<Cow<'_, Self>, DbError> {
        let Some(file) = &self.password_file else { return Ok(Cow::Borrowed(self)) };
        let unreadable = |why: String| DbError::Unreachable(format!("DATABASE_PASSWORD_FILE cannot be used: {why}"));
        let password = fs::read_to_string(file).map_err(|error| unreadable(error.kind().to_string()))?;
        let mut url = self.clone();
        url.set("password", password.trim_end_matches(['\n', '\r']).to_owned())
            .map_err(|error| unreadable(error.to_string()))?;
        Ok(Cow::Owned(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_that_in_the_file_at_this_moment() {
        let file = std::env::temp_dir().join(format!("password-{}", uuid::Uuid::new_v4()));
        let url = DatabaseUrl::parse("postgresql://u:old@h/d").unwrap().password_in(file.to_str());
        assert!(
            matches!(url.with_password(), Err(DbError::Unreachable(why)) if why.contains("DATABASE_PASSWORD_FILE"))
        );
        for password in ["first's", "a second one"] {
            fs::write(&file, format!("{password}\n")).unwrap();
            let mut expected = DatabaseUrl::parse("postgresql://u@h/d").unwrap().password_in(file.to_str());
            expected.set("password", password.to_owned()).unwrap();
            assert!(*url.with_password().unwrap() == expected);
        }
        fs::remove_file(&file).unwrap();
    }
}
