app = FastAPI()
