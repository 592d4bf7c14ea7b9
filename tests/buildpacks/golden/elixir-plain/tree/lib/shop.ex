defmodule Shop do
  use Application

  def start(_type, _args) do
    Supervisor.start_link([{Task, fn -> serve() end}], strategy: :one_for_one)
  end

  defp serve do
    port = String.to_integer(System.fetch_env!("PORT"))
    {:ok, socket} = :gen_tcp.listen(port, [:binary, packet: :http_bin, active: false, reuseaddr: true])
    accept(socket)
  end

  defp accept(socket) do
    {:ok, client} = :gen_tcp.accept(socket)
    answer(client)
    accept(socket)
  end

  defp answer(client) do
    with {:ok, _} <- :gen_tcp.recv(client, 0) do
      body = "Hello from Elixir\n"
      :gen_tcp.send(client, "HTTP/1.1 200 OK\r\nContent-Length: #{byte_size(body)}\r\nConnection: close\r\n\r\n" <> body)
    end
    :gen_tcp.close(client)
  end
end

