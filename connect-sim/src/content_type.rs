//! The kinds of content, each an `app_mode`.

/// How content of an app mode is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Files as they are.
    Static,
    /// A document that is rendered at deploy.
    Rendered,
    /// A process that shows pages.
    App,
    /// A process that answers requests.
    Api,
}

macro_rules! content_types {
    ($($variant:ident $id:literal $name:literal $kind:ident $noun:literal $job:literal,)*) => {
        /// An app mode.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)] // the names are the product's
        pub enum ContentType { $($variant,)* }

        impl ContentType {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// By the name in manifests and v1 answers.
            #[must_use]
            pub fn of(app_mode: &str) -> Option<Self> {
                match app_mode { $($name => Some(Self::$variant),)* "nodejs-api" => Some(Self::NodeJs), _ => None }
            }

            /// The name in manifests and v1 answers.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The number in legacy answers.
            #[must_use]
            pub fn id(self) -> i64 {
                match self { $(Self::$variant => $id,)* }
            }

            /// How it is served.
            #[must_use]
            pub fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }

            /// What logs and pages call it.
            #[must_use]
            pub fn noun(self) -> &'static str {
                match self { $(Self::$variant => $noun,)* }
            }

            /// The tag of the jobs that run or render it.
            #[must_use]
            pub fn job_tag(self) -> &'static str {
                match self { $(Self::$variant => $job,)* }
            }
        }
    };
}

content_types! {
    Unknown 0 "unknown" Static "content" "unknown",
    Shiny 1 "shiny" App "Shiny application" "run_app",
    RmdShiny 2 "rmd-shiny" App "R Markdown application" "render_shiny",
    RmdStatic 3 "rmd-static" Rendered "R Markdown document" "build_report",
    Static 4 "static" Static "static content" "unknown",
    Api 5 "api" Api "Plumber API" "run_api",
    TensorFlow 6 "tensorflow-saved-model" Api "TensorFlow API" "run_tensorflow",
    JupyterStatic 7 "jupyter-static" Rendered "Jupyter notebook" "build_jupyter",
    PythonApi 8 "python-api" Api "Python API" "run_python_api",
    Dash 9 "python-dash" App "Dash application" "run_dash_app",
    Streamlit 10 "python-streamlit" App "Streamlit application" "run_streamlit",
    Bokeh 11 "python-bokeh" App "Bokeh application" "run_bokeh_app",
    FastApi 12 "python-fastapi" Api "FastAPI application" "run_fastapi_app",
    QuartoShiny 13 "quarto-shiny" App "Quarto application" "render_shiny",
    QuartoStatic 14 "quarto-static" Rendered "Quarto document" "build_report",
    PythonShiny 15 "python-shiny" App "Shiny for Python application" "run_pyshiny_app",
    Voila 16 "jupyter-voila" App "Voila application" "run_voila_app",
    Gradio 17 "python-gradio" App "Gradio application" "run_gradio_app",
    Panel 18 "python-panel" App "Panel application" "run_panel_app",
    NodeJs 20 "nodejs" Api "Node.js application" "unknown",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_unique() {
        for (i, a) in ContentType::ALL.iter().enumerate() {
            assert_eq!(ContentType::of(a.name()), Some(*a));
            assert!(ContentType::ALL[i + 1..].iter().all(|b| a.name() != b.name() && a.id() != b.id()));
        }
    }
}
