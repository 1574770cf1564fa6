/* fake_old_ort.c: what a program sees of ONNX Runtime 1.9: its version, no newer API. */
#include <onnxruntime/onnxruntime_c_api.h>

#include <stddef.h>

#define FAKE_VISIBLE __attribute__((visibility("default")))

static const OrtApi *ORT_API_CALL fake_api(uint32_t version)
{
    (void)version;
    return NULL;
}

static const char *ORT_API_CALL fake_version(void)
{
    return "1.9.0";
}

FAKE_VISIBLE const OrtApiBase *ORT_API_CALL OrtGetApiBase(void)
{
    static const OrtApiBase base = {fake_api, fake_version};

    return &base;
}
