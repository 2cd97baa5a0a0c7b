// `npm run test:gpu` tries the mode `webgpu` too, and fails where there is no adapter.
process.env.KILONET_TEST_WEBGPU = "1";
