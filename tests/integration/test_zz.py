from tests.integration.test_config import *
from tests.integration.harness import *
import time
def test_x(place, monkeypatch):
    t=time.time()
    web = place.build(in_base(WEB), WEB_FILES, "web")
    print("build", time.time()-t); t=time.time()
    n=[place.images.name(f"s{i}") for i in range(3)]
    assert place.debloat(web, "-t", n[0]).code==0
    print("1", time.time()-t); t=time.time()
    print(place.run(web, "-t", n[1], PYTHONHASHSEED="7", TZ="Asia/Tokyo", LC_ALL="C"))
    print("2", time.time()-t); t=time.time()
    monkeypatch.setattr("debloat.pipeline.open_rootfs", lambda workspace, image, _: exported_rootfs(workspace, image))
    assert place.debloat(web, "-t", n[2]).code==0
    print("3", time.time()-t); t=time.time()
    ids=[config(place,x)["Id"] for x in n]; print(ids)
    trees=[saved(x) for x in n]
    for a in trees[1:]:
        print(set(a)^set(trees[0]), [(p,a[p],trees[0][p]) for p in a if p in trees[0] and a[p]!=trees[0][p]])
    print("save", time.time()-t); t=time.time()
    print(place.left(), time.time()-t); t=time.time()
    for c in [config(place,x) for x in n]: print(c["RootFS"], c["Config"],c["Created"])
    assert 0
