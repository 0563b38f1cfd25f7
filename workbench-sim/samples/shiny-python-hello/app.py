from shiny import App, render, ui

app_ui = ui.page_fluid(
    ui.h1("Hello from Shiny for Python"),
    ui.input_slider("n", "N", 0, 100, 20),
    ui.output_text("twice"),
)


def server(input, output, session):
    @render.text
    def twice():
        return f"Twice as much is {input.n() * 2}"


app = App(app_ui, server)
