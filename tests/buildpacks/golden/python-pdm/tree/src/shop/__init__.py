def create_app():
