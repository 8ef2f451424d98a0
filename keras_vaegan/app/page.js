// A file over the limit is refused before it is sent, in the page's words and not in Gradio's.
() => {
    const refuse = (event, files) => {
        const large = [...files].find((file) => file.size > window.gradio_config.max_file_size);
        if (!large) return false;
        event.preventDefault();
        event.stopImmediatePropagation();
        window.refused = [large.name, large.size];
        document.getElementById("refuse").click();
        return true;
    };
    addEventListener("change", (event) => {
        if (!event.target.matches("#upload input[type=file]")) return;
        if (refuse(event, event.target.files)) event.target.value = "";
    }, true);
    addEventListener("drop", (event) => {
        if (!event.target.closest("#upload")) return;
        if (!refuse(event, event.dataTransfer.files)) return;
        event.target.dispatchEvent(new DragEvent("dragleave", {bubbles: true})); // no longer marked
    }, true);
}
