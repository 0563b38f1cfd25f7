library(shiny)

ui <- fluidPage(
  titlePanel("Hello from Shiny"),
  sliderInput("n", "Observations", min = 1, max = 100, value = 50),
  plotOutput("plot")
)

server <- function(input, output) {
  output$plot <- renderPlot(hist(rnorm(input$n)))
}

shinyApp(ui, server)
