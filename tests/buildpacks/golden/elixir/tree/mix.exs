defmodule Shop.MixProject do
  def project do
    [
      app: :shop,
      elixir: "~> 1.14",
    ]
  end
  defp deps do
    [{:phoenix, "~> 1.7"}]
  end
end
